"""A token's first verification beside PyJWT's alone, and every later one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter, time
from typing import Any, TypeVar

import jwt

from gatewayd.clock import SystemClock
from gatewayd.config.settings import Secret
from gatewayd.identity.tokens import TokenVerifier
from tests.bench.declare import Bench, Figure, Measured, Round, at_most, scaled
from tests.identity.forging import SECRET, auth_settings, key_kind, private_key, public_key_settings, public_pem

T = TypeVar("T")

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
CACHED, FIRST = 100_000, 1_000


def _claims(number: int) -> dict[str, object]:
    now = int(SystemClock().utc())
    return {"sub": "alice", "iat": now, "nbf": now, "exp": now + 86_400, "jti": f"{number:022d}", "plan": "free"}


def _tokens(algorithm: str, count: int) -> list[str]:
    key: Any = SECRET if algorithm == "HS256" else private_key(key_kind(algorithm))
    return [jwt.encode(_claims(number), key, algorithm=algorithm) for number in range(count)]


def _verifier(algorithm: str) -> TokenVerifier:
    if algorithm == "HS256":
        return TokenVerifier(auth_settings(secret=Secret(SECRET, "a bench")), SystemClock())
    return TokenVerifier(public_key_settings(algorithm), SystemClock())


def _pyjwt(algorithm: str) -> Callable[[str], object]:
    """As whoever uses PyJWT well: the key made ready once, the algorithm named, the same claims required."""
    text = SECRET if algorithm == "HS256" else public_pem(key_kind(algorithm))
    key: Any = jwt.get_algorithm_by_name(algorithm).prepare_key(text)
    options: Any = {"require": ["exp", "sub"]}
    return lambda token: jwt.decode(token, key, algorithms=[algorithm], options=options)


def _now(verifier: TokenVerifier, token: str) -> None:
    """Drive the coroutine: a key that is known is not waited for."""
    try:
        verifier.verify(token).send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


def _each(work: Callable[[T], object], tokens: list[T]) -> float:
    began = perf_counter()
    for token in tokens:
        work(token)
    return (perf_counter() - began) / len(tokens)


@contextmanager
def _open(scale: float, algorithm: str) -> Iterator[Round]:
    tokens, theirs = _tokens(algorithm, scaled(FIRST, scale, 50)), _pyjwt(algorithm)
    count = scaled(CACHED, scale, 1_000)

    def measure() -> Measured:
        for work in (partial(_now, _verifier(algorithm)), theirs):
            _each(work, tokens[:50])  # neither begins with cold caches
        verifier = _verifier(algorithm)
        first = _each(partial(_now, verifier), tokens)
        alone = _each(theirs, tokens)
        field = tokens[0].encode()
        cached = _each(partial(verifier.known, now=time()), [field] * count)
        return {"cached": cached * 1e6, "first": first * 1e6, "pyjwt": alone * 1e6, "ratio": first / alone}

    yield measure


FIGURES = (
    Figure("cached", "µs", "a token that was verified before", at_most(1.0)),
    Figure("first", "µs", "a token's first verification"),
    Figure("pyjwt", "µs", "the same by PyJWT alone"),
    Figure("ratio", "×", "the first verification divided by PyJWT's", at_most(1.2)),
)
BENCHES = tuple(
    Bench(f"identity.verifying.{algorithm.lower()}", FIGURES, partial(_open, algorithm=algorithm))
    for algorithm in ALGORITHMS
)
