"""One token is found in a request's Authorization fields, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import TokenInvalid
from gatewayd.identity.base import MAX_TOKEN, bearer_token
from tests.identity.forging import words_of

TOKEN = "aB3-._~+/x=="


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f"Bearer {TOKEN}", id="as everyone writes it"),
        pytest.param(f"Bearer {TOKEN}".encode(), id="bytes"),
        pytest.param(f"bearer {TOKEN}", id="lower case"),
        pytest.param(f"BEARER {TOKEN}", id="upper case"),
        pytest.param(f"Bearer    {TOKEN}", id="several spaces"),
        pytest.param(f" Bearer {TOKEN}\t ", id="space around the field value"),
    ],
)
def test_a_bearer_token_is_found(value: bytes | str) -> None:
    assert bearer_token([value]) == TOKEN


def test_no_authorization_field_is_no_token() -> None:
    assert bearer_token([]) is None


def test_the_longest_token_is_taken_and_a_longer_one_refused() -> None:
    assert bearer_token(["Bearer " + "a" * MAX_TOKEN]) == "a" * MAX_TOKEN
    with pytest.raises(TokenInvalid):
        bearer_token(["Bearer " + "a" * (MAX_TOKEN + 1)])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([f"Bearer {TOKEN}", f"Bearer {TOKEN}"], id="the same field twice"),
        pytest.param([f"Bearer {TOKEN}", "Basic YTpi"], id="two schemes"),
        pytest.param([f"Bearer {TOKEN}, Bearer {TOKEN}"], id="two in one field"),
        pytest.param(["Basic YTpi"], id="another scheme"),
        pytest.param([f"Bearer: {TOKEN}"], id="colon after the scheme"),
        pytest.param([f"Bearer{TOKEN}"], id="no space"),
        pytest.param([f"Bearer\t{TOKEN}"], id="tab"),
        pytest.param([f"Bearer\u00a0{TOKEN}"], id="no-break space"),
        pytest.param([TOKEN], id="no scheme"),
        pytest.param(["Bearer"], id="scheme alone"),
        pytest.param(["Bearer "], id="empty token"),
        pytest.param([""], id="empty field"),
        pytest.param([b""], id="empty field, bytes"),
        pytest.param(["Bearer a b"], id="space inside"),
        pytest.param(["Bearer a\r\nX: y"], id="line break inside"),
        pytest.param(["Bearer a\n"], id="line break at the end"),
        pytest.param(["Bearer a\x00"], id="NUL"),
        pytest.param(["Bearer =a"], id="padding in front"),
        pytest.param([f'Bearer token="{TOKEN}"'], id="parameters"),
        pytest.param(["Bearer tökén"], id="not ASCII"),
        pytest.param(["Bearer töken".encode()], id="not ASCII, bytes"),
        pytest.param(["Bearer \udcff"], id="lone surrogate"),
        pytest.param(["Beare\u0280 abc"], id="scheme that only looks right"),
    ],
)
def test_anything_else_is_refused(values: list[bytes | str]) -> None:
    with pytest.raises(TokenInvalid) as caught:
        bearer_token(values)
    assert TOKEN not in words_of(caught.value)


HEADERS = st.text() | st.binary() | st.text().map("Bearer {}".format) | st.binary().map(b"Bearer ".__add__)


@given(values=st.lists(HEADERS, max_size=3))
def test_no_header_raises_anything_but_a_refusal(values: list[bytes | str]) -> None:
    try:
        token = bearer_token(values)
    except TokenInvalid:
        return
    assert (token is None) == (not values)
    assert token is None or (token.isascii() and token.isprintable() and " " not in token)
