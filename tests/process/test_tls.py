"""What is shown to callers who come with TLS; handshakes are in test_daemon."""

import ssl
from pathlib import Path

import pytest

from gatewayd.config.settings import Tls
from gatewayd.errors import StartError
from gatewayd.process.tls import tls_context
from tests.certificates import write_certificate


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    context = tls_context(Tls(*write_certificate(tmp_path)))
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_caller_who_asks_is_told_that_http_1_1_is_spoken(tmp_path: Path) -> None:
    server = tls_context(Tls(*write_certificate(tmp_path)))
    client = ssl.create_default_context(cafile=tmp_path / "tls.crt")
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(client, server) == "http/1.1"


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """The protocol agreed on, between two ends in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours.selected_alpn_protocol()


@pytest.mark.parametrize("spoil", ["foreign key", "no key"])
def test_files_that_cannot_serve_are_named(tmp_path: Path, spoil: str) -> None:
    certificate, key = write_certificate(tmp_path)
    if spoil == "foreign key":
        write_certificate(tmp_path, "other")[1].rename(key)
    else:
        key.unlink()
    with pytest.raises(StartError, match=f"^server.tls: cannot use {certificate} with {key}: \\S+"):
        tls_context(Tls(certificate, key))
