"""A route's rule for the proxy: where to, what is allowed, how long."""

from dataclasses import dataclass

from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.errors import BadRequest, BodyTooLarge, MethodNotAllowed
from gatewayd.exchange import Exchange
from gatewayd.identity.service import ServiceTokens
from gatewayd.proxy.balance import Balance, Round


@dataclass(frozen=True, slots=True, eq=False)
class Forwarding:
    """Times are in seconds, as the route's settings have them, at hand: those are not the compiler's.

    `silence` is the longest that a caller may say nothing in the middle of a body.
    """

    balance: Balance
    round: Round
    """The balance's own."""
    prefix: str
    methods: tuple[str, ...]
    connect: float
    first_byte: float
    idle: float
    total: float
    max_body: int
    silence: float
    authorization: bool
    service: ServiceTokens | None
    upgrades: tuple[str, ...]
    says_goodbye: bool
    """Whether a stream that is cut at a drain's deadline is ended by its own protocol, with a hint to come again."""

    def admit(self, exchange: Exchange) -> None:
        """Raises the Refusal of a request that this route does not take, whoever sends it."""
        head, method = exchange.head, exchange.method
        if method not in self.methods:
            raise MethodNotAllowed(self.methods)
        if head.content_length is not None and head.content_length > self.max_body:
            raise BodyTooLarge(f"This route takes at most {self.max_body} bytes.")
        if head.upgrade is not None and (head.upgrade not in self.upgrades or method != "GET"):
            raise BadRequest("This upgrade is not allowed here.")


def forwarding(settings: Settings, route: RouteSettings, balance: Balance) -> Forwarding:
    """The rule of a configured route. Raises StartError for service tokens that nothing can sign."""
    timeouts = route.timeouts
    return Forwarding(
        balance=balance,
        round=balance.round,
        prefix=route.prefix.rstrip("/"),
        methods=route.methods,
        connect=timeouts.connect,
        first_byte=timeouts.first_byte,
        idle=timeouts.idle,
        total=timeouts.total,
        max_body=route.max_body if route.max_body is not None else settings.server.max_body,
        silence=settings.server.body_timeout,
        authorization=route.forward_authorization,
        service=ServiceTokens(settings.auth, route.name, route.service_token) if route.service_token else None,
        upgrades=route.upgrades,
        says_goodbye=route.drain == "close",
    )
