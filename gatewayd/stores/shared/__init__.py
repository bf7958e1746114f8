"""Counters in memory that all workers of a daemon share (`memory:`)."""
