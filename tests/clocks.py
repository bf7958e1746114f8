"""Time that a test owns."""


class ManualClock:
    """Stands still until told; both readings move together."""

    def __init__(self, utc: float = 1_764_000_000.0, monotonic: float = 1_000.0) -> None:
        self._utc = utc
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic

    def utc(self) -> float:
        return self._utc

    def advance(self, seconds: float) -> None:
        self._utc += seconds
        self._monotonic += seconds
