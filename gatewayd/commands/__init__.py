"""What the `gatewayd` command can do, a file for each concern. Results go to stdout, diagnostics to stderr."""
