"""`gatewayd prove`: the promises, tried on daemons of its own with callers and an agent that count.

Nothing here is part of a running gateway: what serves callers never imports it.
"""
