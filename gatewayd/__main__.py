"""`python -m gatewayd` is the `gatewayd` command."""

from gatewayd.cli import main

if __name__ == "__main__":
    main()
