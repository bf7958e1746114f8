"""The operators' listener: a page, a JSON status, Prometheus metrics. It reads and changes nothing."""
