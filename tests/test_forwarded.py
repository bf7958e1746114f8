from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config.settings import Network
from gatewayd.forwarded import address_group, client_of, extended, is_trusted, node
from gatewayd.framing import Head

TRUSTED: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY = "10.0.0.1"


def chain(**named: str | list[str]) -> Head:
    lists = {name: [value] if isinstance(value, str) else value for name, value in named.items()}
    return Head(
        [],
        {name.replace("_", "-").encode(): [each.encode("latin-1") for each in value] for name, value in lists.items()},
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True), ("11.0.0.1", False), ("fd00::1", True), ("fe80::1", False), ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False), ("unix", False), ("", False), ("10.0.0.1 ", False), ("010.0.0.1", False),
        ("10.0.0.1:80", False),
    ],
)  # fmt: skip
def test_only_addresses_in_the_networks_are_trusted(address: str, expected: bool) -> None:
    assert is_trusted(address, TRUSTED) is expected


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (["6.6.6.6", "203.0.113.9,10.0.0.2"], "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("203.0.113.9, unknown", PROXY),
        ("203.0.113.9, ", PROXY),
        ("203.0.113.9, 10.0.0.2, nonsense, 10.0.0.3", "10.0.0.3"),
        ("203.0.113.9, fe80::1%25eth0", PROXY),
        ("203.0.113.9, fe80::1%" + "x" * 1000, PROXY),
        ("203.0.113.9, é", PROXY),
        ("", PROXY),
        ("1.2.3", PROXY),
        ("127.1", PROXY),
    ],
)
def test_the_chain_is_read_from_its_trusted_end(hops: str | list[str], client: str) -> None:
    assert client_of(PROXY, chain(x_forwarded_for=hops), TRUSTED) == client


@pytest.mark.parametrize(
    ("elements", "client"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=203.0.113.9;proto=https", "203.0.113.9"),
        ("proto=https; for=203.0.113.9;by=x", "203.0.113.9"),
        ('for="203.0.113.9:4711"', "203.0.113.9"),
        ('for="[2001:db8::9]"', "2001:db8::9"),
        ('for="[2001:db8::9]:4711"', "2001:db8::9"),
        ("for=6.6.6.6, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        (["for=6.6.6.6", "for=203.0.113.9"], "203.0.113.9"),
        ("for=203.0.113.9, for=unknown", PROXY),
        ("for=203.0.113.9, for=_hidden", PROXY),
        ("for=203.0.113.9, proto=https", PROXY),
        ('for="6.6.6.6, for=203.0.113.9', "203.0.113.9"),
        ("host=for=6.6.6.6", PROXY),
        ("xfor=6.6.6.6", PROXY),
    ],
)
def test_forwarded_is_read_like_it(elements: str | list[str], client: str) -> None:
    assert client_of(PROXY, chain(forwarded=elements), TRUSTED) == client


def test_x_forwarded_for_is_read_first() -> None:
    head = chain(x_forwarded_for="203.0.113.9", forwarded="for=203.0.113.8")
    assert client_of(PROXY, head, TRUSTED) == "203.0.113.9"


def test_nobody_is_believed_who_is_not_trusted() -> None:
    head = chain(x_forwarded_for="203.0.113.9", forwarded="for=203.0.113.8")
    for peer in ("192.0.2.1", "unix", ""):
        assert client_of(peer, head, TRUSTED) == peer
    assert client_of(PROXY, head, ()) == PROXY
    assert client_of(PROXY, chain(), TRUSTED) == PROXY


STRANGERS = st.integers(0x0B000000, 0xDFFFFFFF).map(lambda number: str(ip_address(number)))
PROXIES = st.one_of(
    st.integers(0x0A000000, 0x0AFFFFFF).map(lambda number: str(ip_address(number))),
    st.sampled_from(["fd00::2", "[fd00::3]:80", "10.0.0.9:1", "::ffff:10.0.0.1"]),
)
ANYTHING = st.one_of(PROXIES, STRANGERS, st.text(st.characters(codec="latin-1"), max_size=9))


def said(hops: list[str], name: str) -> Head:
    value = ", ".join(hops if name == "x-forwarded-for" else [f'for="{hop}"' for hop in hops])
    return Head([], {name.encode(): [value.encode("latin-1")]})


@given(st.lists(ANYTHING), STRANGERS, st.lists(PROXIES), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_nothing_that_the_caller_says_hides_where_the_trusted_proxies_saw_it(
    claims: list[str], caller: str, proxies: list[str], name: str
) -> None:
    assert client_of(PROXY, said([*claims, caller, *proxies], name), TRUSTED) == caller
    assert client_of(caller, said([*claims, *proxies], name), TRUSTED) == caller


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unix", "unix"),
    ],
)
def test_one_customer_counts_as_one_caller(address: str, group: str) -> None:
    assert address_group(address) == group


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::9", '"[2001:db8::9]"'),
        ("unix", "unknown"),
        ("", "unknown"),
        ("fe80::1%eth0", "unknown"),
    ],
)
def test_an_address_is_written_as_a_node(address: str, expected: str) -> None:
    assert node(address) == expected


def test_a_list_is_extended_at_its_end() -> None:
    assert extended([b"a", b"b, c"], b"d") == b"a, b, c, d"
    assert extended(None, b"d") == extended([], b"d") == b"d"
