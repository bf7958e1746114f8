"""Rate-limit counters in Redis or Valkey, shared by daemons: one call a request, and an answer while it is away."""
