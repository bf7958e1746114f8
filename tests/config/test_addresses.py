from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config.addresses import (
    address,
    file_path,
    is_local,
    network,
    prefix,
    store_url,
    upstream,
    web_url,
)
from gatewayd.config.settings import Address
from gatewayd.config.shape import Invalid


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:8080", Address("tcp", "127.0.0.1", 8080)),
        ("[::1]:0", Address("tcp", "::1", 0)),
        ("gateway.example:80", Address("tcp", "gateway.example", 80)),
        ("unix:/run/gatewayd.sock", Address("unix", path="/run/gatewayd.sock")),
        ("systemd:public", Address("systemd", path="public")),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, meant: Address) -> None:
    assert address(text) == meant
    assert str(address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "8080",
            "localhost",
            ":8080",
            "*:8080",
            "::1:8080",
            "[::1]",
            "[127.0.0.1]:1",
            "127.0.0.300:80",
            "1.2.3:80",
        ),
        *(
            "host:65536",
            "host:-1",
            "host:http",
            "ho st:1",
            "host:٣",
            "unix:",
            "unix:/" + "x" * 107,
            "systemd:",
            "systemd:a:b",
        ),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        address(text)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("127.0.0.9:1", True),
        ("[::1]:1", True),
        ("LocalHost:1", True),
        ("unix:/run/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("example.org:1", False),
        ("systemd:admin", False),
    ],
)
def test_only_loopback_and_unix_sockets_are_local(text: str, local: bool) -> None:
    assert is_local(address(text)) is local


def test_networks_and_single_addresses_are_read() -> None:
    assert network("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert network("::1") == ip_network("::1/128")


def test_a_network_with_bits_beyond_its_prefix_is_corrected_in_the_hint() -> None:
    with pytest.raises(Invalid) as refused:
        network("10.1.2.3/8")
    assert refused.value.hint == 'write "10.0.0.0/8"'
    with pytest.raises(Invalid, match="is not a network"):
        network("10.0.0.0/33")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("http://127.0.0.1:8081/api/email", "http://127.0.0.1:8081/api/email"),
        ("https://[::1]/", "https://[::1]"),
        ("http://agent/api/", "http://agent/api"),
        ("http://agent/a%20b", "http://agent/a%20b"),
    ],
)
def test_an_upstream_loses_only_its_trailing_slash(text: str, meant: str) -> None:
    assert upstream(text) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://agent", "is not an http or https URL"),
        ("agent:8081", "is not an http or https URL"),
        ("http://", "is not an http or https URL|has no valid host and port"),
        ("http:///api", "has no valid host and port"),
        ("http://agent:0", "has no valid host and port"),
        ("http://agent:", "has no valid host and port"),
        ("http://10.0.0.999", "has no valid host and port"),
        ("http://ag_ent.:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://ü.example", "is not a URL"),
        ("http://a b", "is not a URL"),
        ("http://user:hunter2@agent", "has a user or password"),
        ("http://agent/?a=1", "has a query"),
        ("http://agent/a?", "has a query"),
        ("http://agent/#a", "has a fragment"),
        ("http://agent/a//b", "has a path with"),
        ("http://agent/a/../b", "has a path with"),
        ("http://agent/a/%2E%2e", "has a path with"),
        ("http://agent/%zz", "has a path with"),
        ("http://agent/{id}", "has a path with"),
    ],
)
def test_what_is_no_base_url_is_refused_and_not_quoted(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message) as refused:
        upstream(text)
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_a_url_that_is_no_base_may_have_a_query() -> None:
    assert web_url("https://idp.example/keys?v=1") == "https://idp.example/keys?v=1"


@pytest.mark.parametrize("text", ["/", "/api", "/api/email", "/a.b/c~d/@e"])
def test_a_plain_path_is_a_prefix(text: str) -> None:
    assert prefix(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api", "must begin with /"),
        ("äpi", "must begin with /"),
        ("/api/", "must not end with /"),
        ("/a//b", "is not a plain path"),
        ("/a%20b", "is not a plain path"),
        ("/a?b", "is not a plain path"),
        ("/a\\b", "is not a plain path"),
        ("/ä", "is not a plain path"),
        ("/a/../b", "has a . or .. segment"),
        ("/.", "has a . or .. segment"),
    ],
)
def test_what_is_no_plain_path_is_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        prefix(text)
    assert refused.value.message == message


check_counters = store_url("memory:", "redis://", "rediss://", "unix:PATH")
check_ledger = store_url("sqlite:PATH", "postgresql://")


@pytest.mark.parametrize("text", ["memory:", "redis://h:6379/0", "rediss://:pw@h", "unix:/run/valkey.sock"])
def test_the_urls_of_known_counters_are_accepted(text: str) -> None:
    check_counters(text)


@pytest.mark.parametrize("text", ["sqlite:var/x.db", "sqlite:/x.db", "postgresql://u:p@h/db"])
def test_the_urls_of_known_ledgers_are_accepted(text: str) -> None:
    check_ledger(text)


@pytest.mark.parametrize(
    ("check", "text", "hint"),
    [
        pytest.param(check_counters, "memory", 'did you mean "memory:"?', id="no colon"),
        pytest.param(check_counters, "memory:hunter2", "", id="something after memory:"),
        pytest.param(check_counters, "redis:hunter2", "", id="no slashes"),
        pytest.param(check_counters, "hunter2", "", id="no URL"),
        pytest.param(check_ledger, "sqlite:", "", id="no path"),
        pytest.param(check_ledger, "postgres://u:hunter2@h", 'did you mean "postgresql:"?', id="a near miss"),
        pytest.param(check_ledger, "db2://u:hunter2@h", "", id="another database"),
    ],
)
def test_other_store_urls_are_refused_and_not_quoted(check: Callable[[str], None], text: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(text)
    assert refused.value.hint == hint
    assert "hunter2" not in refused.value.message


def test_a_file_is_a_path() -> None:
    assert file_path("var/x") == Path("var/x")


@given(
    st.text()
    | st.integers()
    | st.sampled_from(["http://", "unix:", "systemd:", "/"]).flatmap(lambda a: st.text().map(lambda b: a + b))
)
def test_no_value_meets_anything_but_a_refusal(value: object) -> None:
    for read in (address, network, upstream, web_url, prefix, file_path):
        with suppress(Invalid):
            read(value)
