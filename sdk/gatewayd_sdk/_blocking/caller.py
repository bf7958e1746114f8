"""What carries calls out: it does each step of an exchange and says what came of it."""

from collections.abc import Callable
from time import sleep as pause
from typing import Any, TypeVar

from gatewayd_sdk._blocking.tokens import Tokens
from gatewayd_sdk._blocking.transport import Urllib3Transport
from gatewayd_sdk._core.calls import Call
from gatewayd_sdk._core.errors import APIConnectionError
from gatewayd_sdk._core.exchange import Fetch, Mode, Opened, Step, Wait, exchange
from gatewayd_sdk._core.requests import Request
from gatewayd_sdk._core.setup import Setup

T = TypeVar("T")
Refresh = Callable[[], str]


class Caller:
    """One way to make calls, over connections that others may share."""

    def __init__(self, setup: Setup[Refresh], transport: Urllib3Transport, tokens: Tokens | None) -> None:
        self.setup = setup
        self.transport = transport
        self.tokens = tokens

    def call(self, call: Call[T]) -> T:
        """What the answer promises. Raises GatewayErrors."""
        return call.read(self._run(call.request, "whole"))

    def open(self, request: Request, mode: Mode) -> Opened[Any]:
        """The head of an answer that goes on."""
        opened: Opened[Any] = self._run(request, mode)
        return opened

    def _run(self, request: Request, mode: Mode) -> Any:
        steps = exchange(request, self.setup.manner, mode)
        try:
            step = next(steps)
            while True:
                try:
                    came = self.transport.fetch(step) if isinstance(step, Fetch) else self._perform(step)
                except APIConnectionError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(came)
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()

    def _perform(self, step: Step) -> str | None:
        if isinstance(step, Wait):
            pause(step.seconds)
            return None
        assert not isinstance(step, Fetch)
        return None if self.tokens is None else self.tokens.get(step.refused)
