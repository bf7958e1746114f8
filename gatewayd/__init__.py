"""gatewayd: one door in front of AI agents, exact about money, invisible in time, calm in operation."""

__version__ = "0.1.0"
