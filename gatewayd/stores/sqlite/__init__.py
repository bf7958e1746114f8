"""The embedded ledger (`sqlite:PATH`): one file, one daemon, one writing thread; others may read."""
