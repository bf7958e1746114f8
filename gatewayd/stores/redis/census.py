"""How many daemons share the server, and whether it still has what it was told: asked once a second."""

from secrets import token_hex
from typing import Final, Protocol

from gatewayd.clock import Clock
from gatewayd.stores.redis.line import Command
from gatewayd.stores.redis.script import PREFIX, Script
from gatewayd.stores.shared.notes import Noted

PRESENT: Final = 5.0
ROLL: Final = f"{PREFIX}{{daemons}}seen"
EPOCH: Final = f"{PREFIX}{{daemons}}epoch"

# ARGV: the daemon, when it was last written down here (0: never), in which epoch, and a new epoch's name. An epoch
# lasts as long as nothing is lost: a server that came back empty, or as it was some time ago, begins another.
GREET: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local before = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
local epoch = redis.call('GET', KEYS[2])
if not epoch or (epoch == ARGV[3] and before < tonumber(ARGV[2])) then
  epoch = ARGV[4]
  redis.call('SET', KEYS[2], epoch)
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - 86400000000))
local present = redis.call('ZCOUNT', KEYS[1], string.format('%.0f', now - 5000000), '+inf')
return string.format('%.0f %d ', now, present) .. epoch
""")
GREET_SHA: Final = GREET.sha


class Notes(Protocol):
    """What a daemon's workers leave for those who are made after them."""

    def noted(self) -> Noted: ...

    def note(self, noted: Noted) -> None: ...


class Census:
    """What this process last heard, or another of its daemon (`notes`) before it was made.

    `daemons` is 0 until anybody heard anything; mutable because it listens.

    A server that was away makes all daemons look absent until they are back, so for `PRESENT` seconds after an
    outage the number does not fall. `shared_until` is when the last of the others was given up, if there were any: what
    they took before that is unknown here. `floor_since` and `mirror_since` are as in `Noted`.
    """

    def __init__(self, daemon: str, clock: Clock, notes: Notes | None = None) -> None:
        self._daemon = daemon
        self._clock = clock
        self._notes = notes
        self._seen = 0
        self._falls_from = 0.0
        noted = notes.noted() if notes is not None else Noted()
        self.daemons, self.shared_until, self.floor_since, self.mirror_since, self._epoch = noted

    @property
    def alone(self) -> bool:
        """Whether no other daemon counts in the server."""
        return self.daemons == 1

    def returned(self) -> None:
        """The server is back: the others need a moment to be seen again."""
        self._falls_from = self._clock.monotonic() + PRESENT

    def greeting(self) -> Command:
        return ("EVALSHA", GREET_SHA, "2", ROLL, EPOCH, self._daemon, str(self._seen), self._epoch, token_hex(8))

    def heard(self, answer: bytes) -> bool:
        """Take the answer in; whether the server lost something that it had when it was heard last.

        It is not noted before `note`: with it goes what the loss means here.
        """
        seen, present, epoch = answer.decode().split(" ")
        lost = self._epoch not in ("", epoch)
        self._seen, self._epoch = int(seen), epoch
        now = self._clock.monotonic()
        if int(present) >= self.daemons or now >= self._falls_from:
            if int(present) == 1 < self.daemons:
                self.shared_until = now
            self.daemons = int(present)
        return lost

    def distrust(self, since: float, mirror_since: float | None) -> None:
        """What the server does not know counts as used up at `since`."""
        self.floor_since, self.mirror_since = since, mirror_since

    def note(self) -> None:
        """Leave what is known here for workers to come."""
        if self._notes is not None:
            heard = Noted(self.daemons, self.shared_until, self.floor_since, self.mirror_since, self._epoch)
            self._notes.note(heard)
