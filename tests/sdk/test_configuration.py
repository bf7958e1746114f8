"""What a client is made of: arguments, environment, proxies, CAs, the log."""

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.logs import logger, set_up_log
from gatewayd_sdk._core.proxies import proxy_for
from gatewayd_sdk._core.setup import read_address

from tests.certificates import write_certificate

CLIENTS = (sdk.Gateway, sdk.AsyncGateway)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    return monkeypatch


@pytest.fixture
def own_log() -> Iterator[logging.Logger]:
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.mark.parametrize("client", CLIENTS)
def test_base_url_and_token_come_from_the_environment(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAYD_BASE_URL", "http://127.0.0.1:8080/base/")
    monkeypatch.setenv("GATEWAYD_TOKEN", "t0ken")
    made = client()
    assert made.base_url == "http://127.0.0.1:8080/base"
    assert made._caller.setup.manner.token == "t0ken"
    assert client("http://other", "mine")._caller.setup.manner.token == "mine"
    monkeypatch.setenv("GATEWAYD_TOKEN", "")
    assert client()._caller.setup.manner.token is None


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "nowhere"},
        {"token": "two words"},
        {"token": 7},
        {"timeout": None, "max_retries": -1},
        {"headers": {"Host": "a"}},
        {"headers": {"X-A": "ä"}},
        {"proxy": "socks5://a"},
        {"proxy": "http://u:s3cret@a:x"},
        {"proxy": "http://[a"},
        {"tls": "/no/such/file"},
        {"max_connections": 0},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_at_once_and_not_quoted(client: Any, options: dict[str, Any]) -> None:
    with pytest.raises(sdk.ConfigurationError) as caught:
        client(**{"base_url": "http://a", **options})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("given", "connect"), [(2, 2), (0.5, 0.5), (20, 5)])
def test_a_bare_number_is_the_most_that_a_call_may_take(given: float, connect: float) -> None:
    assert sdk.Timeout.of(given) == sdk.Timeout(connect, given, given)


@pytest.mark.parametrize("given", [0, -1, float("inf"), float("nan"), True, "5"])
def test_a_timeout_that_is_no_time_is_refused_before_anything_is_sent(given: float) -> None:
    with pytest.raises(sdk.ConfigurationError):
        sdk.Gateway("http://127.0.0.1:1", "t", timeout=given)


@pytest.mark.parametrize("total", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_a_number_of_seconds(total: float) -> None:
    with pytest.raises(sdk.ConfigurationError, match="total=None"):
        sdk.Timeout(total=total)


def test_a_proxy_is_given_or_everybodys_or_none(no_proxies: pytest.MonkeyPatch) -> None:
    assert proxy_for("http://a", None) is None
    no_proxies.setenv("HTTP_PROXY", "http://ann:p%40ss@proxy:3128")
    no_proxies.setenv("HTTPS_PROXY", "https://secure")
    no_proxies.setenv("NO_PROXY", "127.0.0.1,.local")
    found = proxy_for("http://a", None)
    assert found is not None
    assert (found.url, found.host, found.port) == ("http://proxy:3128", "proxy", 3128)
    assert found.headers == {"proxy-authorization": "Basic YW5uOnBAc3M="}
    assert "p@ss" not in repr(found)
    assert "YW5u" not in repr(found)
    secure = proxy_for("https://a", None)
    assert secure is not None
    assert (secure.port, secure.headers) == (443, {})
    assert proxy_for("http://127.0.0.1:80", None) is None
    assert proxy_for("http://gateway.local", None) is None
    assert proxy_for("http://a", "") is None
    other = proxy_for("http://127.0.0.1", "http://other")
    assert other is not None
    assert other.port == 80


def test_cas_are_a_context_or_a_file(tmp_path: Path, no_proxies: pytest.MonkeyPatch) -> None:
    certificate, _ = write_certificate(tmp_path)
    context = ssl.create_default_context()
    assert read_address("https://a:1/b", None, context, 1).tls is context
    by_file = read_address("https://a", None, certificate, 1).tls
    assert by_file is not None
    assert by_file.cert_store_stats()["x509"] == 1
    usual = read_address("https://a:1/b", None, None, 1)
    assert usual.tls is not None
    assert usual.tls.verify_mode is ssl.CERT_REQUIRED
    assert (usual.secure, usual.host, usual.path) == (True, "a:1", "/b")
    assert read_address("http://a", None, None, 1).tls is None


def test_gatewayd_log_writes_to_stderr_once(own_log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        set_up_log({"GATEWAYD_LOG": "Info"})
    own_log.debug("not told")
    own_log.info("told")
    assert capsys.readouterr().err.count("told") == 1
    set_up_log({"GATEWAYD_LOG": "off"})
    set_up_log({})
    with pytest.raises(sdk.ConfigurationError, match="debug, info, warning, error and off"):
        set_up_log({"GATEWAYD_LOG": "loud"})


def test_it_is_silent_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    logger.warning("nobody asked")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("client", CLIENTS)
def test_options_are_added_to_those_there_are(client: Any) -> None:
    made = client("http://a", "t", headers={"X-A": "1"}, timeout=sdk.Timeout(idle=7), max_retries=5)
    other = made.with_options(headers={"X-B": "2"}, max_retries=0)
    options = other._caller.setup.manner.options
    assert (options.timeout.idle, options.max_retries, options.fields["x-a"], options.fields["x-b"]) == (7, 0, "1", "2")
    assert "x-b" not in made._caller.setup.manner.options.fields
    assert other._caller.transport is made._caller.transport
    assert other.with_options(token="u")._caller.setup.manner.token == "u"
    asked = made.with_options(token=lambda: "made")
    assert asked._caller.setup.manner.asks
    assert asked.with_options(token="fixed")._caller.tokens is None
