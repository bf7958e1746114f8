"""Everybody in a worker who reports ended requests, told without a way through Python."""

from gatewayd.admin.sightings import Sightings
from gatewayd.exchange import Exchange
from gatewayd.metrics.counting import Metrics
from gatewayd.policies.access_log import unreported
from gatewayd.process.logs import Logs


class Telling:
    """A worker's logs, its metrics, and what it remembers of requests that went wrong."""

    __slots__ = ("_logs", "_metrics", "_sightings")

    def __init__(self, logs: Logs, metrics: Metrics, sightings: Sightings) -> None:
        self._logs = logs
        self._metrics = metrics
        self._sightings = sightings

    def report(self, exchange: Exchange) -> None:
        """One that fails spoils no other. Nothing is raised."""
        try:
            self._logs.report(exchange)
        except Exception:
            unreported(exchange)
        try:
            self._metrics.report(exchange)
        except Exception:
            unreported(exchange)
        try:
            self._sightings.report(exchange)
        except Exception:
            unreported(exchange)
