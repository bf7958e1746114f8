"""What exact money costs: the hot path, the ledger, the counters, and what is refused."""
