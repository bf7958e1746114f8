"""What was revoked is refused, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.identity.revocations import Revocations
from gatewayd.model import Identity, Revocation, RevocationKind

TOKEN = Revocation("token", "t1", 0.0)
USER = Revocation("user", "ann", 1000.0)
ALL = Revocation("all", "", 500.0)


def identity(user: str = "ann", token_id: str | None = "t2", issued_at: float | None = 1001.0) -> Identity:
    return Identity(user, None, frozenset(), token_id, issued_at, 9e9)


@pytest.mark.parametrize(
    ("revocations", "caller", "refused"),
    [
        pytest.param([], identity(issued_at=None), False, id="nothing was revoked"),
        pytest.param([TOKEN], identity(token_id="t1"), True, id="the token"),
        pytest.param([TOKEN], identity(token_id="t1", issued_at=None), True, id="the token, without a time"),
        pytest.param([TOKEN], identity(), False, id="another token"),
        pytest.param([TOKEN], identity(token_id=None, issued_at=None), False, id="a token without id"),
        pytest.param([USER], identity(issued_at=1000.0), True, id="the user, at that moment"),
        pytest.param([USER], identity(issued_at=999.0), True, id="the user, before"),
        pytest.param([USER], identity(issued_at=1000.5), False, id="the user, after"),
        pytest.param([USER], identity(issued_at=None), True, id="the user, without a time"),
        pytest.param([USER], identity("bob", issued_at=1.0), False, id="another user"),
        pytest.param([USER], identity("bob", issued_at=None), False, id="another user, without a time"),
        pytest.param([ALL], identity("bob", issued_at=500.0), True, id="everybody, at that moment"),
        pytest.param([ALL], identity("bob", issued_at=500.5), False, id="everybody, after"),
        pytest.param([ALL], identity("bob", issued_at=None), True, id="everybody, without a time"),
        pytest.param([ALL, USER], identity(issued_at=1000.0), True, id="the later of user and everybody"),
        pytest.param([USER, Revocation("user", "ann", 5.0)], identity(issued_at=6.0), True, id="the later of two"),
        pytest.param([Revocation("user", "t1", 9e9)], identity(token_id="t1"), False, id="a user named as the id"),
        pytest.param([Revocation("token", "ann", 9e9)], identity(), False, id="an id named as the user"),
    ],
)
def test_a_token_is_refused_by_id_user_or_time(revocations: list[Revocation], caller: Identity, refused: bool) -> None:
    assert Revocations(revocations).refuses(caller) is refused


def test_without_revocations_nobody_is_refused() -> None:
    assert not Revocations().refuses(identity(issued_at=None))


KINDS: list[RevocationKind] = ["token", "user", "all"]
NAMES = st.sampled_from(["a", "b", ""])
TIMES = st.integers(0, 3).map(float)
MADE = st.builds(Revocation, st.sampled_from(KINDS), NAMES, TIMES)
CALLERS = st.builds(identity, NAMES, st.none() | NAMES, st.none() | TIMES)


@given(st.lists(MADE), CALLERS)
def test_the_index_says_what_each_revocation_says_by_itself(revocations: list[Revocation], caller: Identity) -> None:
    def refused(by: Revocation) -> bool:
        if by.kind == "token":
            return by.subject == caller.token_id
        due = caller.issued_at is None or caller.issued_at <= by.issued_until
        return due and (by.kind == "all" or by.subject == caller.user)

    assert Revocations(revocations).refuses(caller) is any(map(refused, revocations))


@given(st.lists(MADE), st.lists(MADE), CALLERS)
def test_what_is_added_later_is_as_if_it_had_been_there(
    first: list[Revocation], later: list[Revocation], caller: Identity
) -> None:
    grown = Revocations(first)
    grown.add(later)
    assert grown == Revocations([*first, *later])
    assert Revocations(grown) == grown
    assert grown.refuses(caller) is Revocations([*first, *later]).refuses(caller)
