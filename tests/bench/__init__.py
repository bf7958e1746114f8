"""What gatewayd costs, measured: `make bench`, or `python -m tests.bench`. Nothing here is asserted by time."""
