"""A worker's own append-only book of what it began and how that ended, on its way to the ledger."""
