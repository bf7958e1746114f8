from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.config.shared import MINIMAL, told


def _key(path: Path, password: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))
    return key


def _certificate(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def text(tmp_path: Path) -> str:
    _certificate(tmp_path / "crt", _key(tmp_path / "key"))
    return f"{MINIMAL}[server]\ntls = {{ certificate = '{tmp_path}/crt', key = '{tmp_path}/key' }}\n"


def test_a_certificate_with_its_key_is_accepted(text: str) -> None:
    assert told(text) == []


def test_each_file_that_cannot_be_read_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "crt").unlink()
    (tmp_path / "key").unlink()
    (tmp_path / "key").mkdir()
    assert [problem.split(": ", 1)[1] for problem in told(text)] == [
        f"server.tls.certificate: {tmp_path}/crt: no such file or directory",
        f"server.tls.key: {tmp_path}/key: is a directory",
    ]


def test_a_key_of_another_certificate_is_told(text: str, tmp_path: Path) -> None:
    _key(tmp_path / "key")
    assert told(text) == ["7:7: server.tls: the key is not the certificate's"]


def test_an_encrypted_key_is_told_and_asks_for_no_password(text: str, tmp_path: Path) -> None:
    _certificate(tmp_path / "crt", _key(tmp_path / "key", b"password"))
    assert told(text) == ["7:7: server.tls: is not a certificate with its key"]


def test_files_of_another_kind_are_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "crt").write_text("hello")
    assert told(text) == ["7:7: server.tls: is not a certificate with its key"]


def agent_tls(tmp_path: Path, *names: str, upstream: str = "https://agent:1") -> str:
    files = ", ".join(f"{name} = '{tmp_path}/{'key' if name == 'key' else 'crt'}'" for name in names)
    route = f"[routes.a]\nprefix = '/a'\nupstream = '{upstream}'\ntls = {{ {files} }}\n"
    return MINIMAL + route


def test_what_an_agent_is_shown_and_known_by_is_accepted(text: str, tmp_path: Path) -> None:
    assert text
    assert told(agent_tls(tmp_path, "ca", "certificate", "key")) == []
    assert told(agent_tls(tmp_path, "ca")) == []


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("certificate",), "routes.a.tls: certificate and key belong together"),
        (("key",), "routes.a.tls: certificate and key belong together"),
    ],
)
def test_a_certificate_without_its_key_is_told(text: str, tmp_path: Path, names: tuple[str, ...], problem: str) -> None:
    assert text
    assert [each.split(": ", 1)[1] for each in told(agent_tls(tmp_path, *names))] == [problem]


def test_files_for_agents_are_looked_at(tmp_path: Path) -> None:
    found = [each.split(": ", 1)[1] for each in told(agent_tls(tmp_path, "ca", "certificate", "key"))]
    assert found == [
        f"routes.a.tls.ca: {tmp_path}/crt: no such file or directory",
        f"routes.a.tls.certificate: {tmp_path}/crt: no such file or directory",
        f"routes.a.tls.key: {tmp_path}/key: no such file or directory",
    ]
    _key(tmp_path / "key")
    _certificate(tmp_path / "crt", _key(tmp_path / "other"))
    (found_, *_) = told(agent_tls(tmp_path, "certificate", "key"))
    assert "routes.a.tls: the key is not the certificate's" in found_
    (tmp_path / "crt").write_text("nothing")
    (found_, *_) = told(agent_tls(tmp_path, "ca"))
    assert "routes.a.tls.ca: has no certificate of an authority" in found_


def test_tls_for_an_agent_without_it_is_told(text: str, tmp_path: Path) -> None:
    assert text
    (found,) = told(agent_tls(tmp_path, "ca", upstream="http://agent:1"))
    assert "routes.a.tls: is for agents whose URL begins with https" in found


def test_the_authorities_of_a_provider_are_looked_at(tmp_path: Path) -> None:
    keys = f"[auth]\nalgorithms = ['ES256']\njwks_url = 'https://idp/keys'\njwks = {{ ca = '{tmp_path}/ca' }}\n"
    (found,) = told(keys + MINIMAL.partition("[routes")[1] + MINIMAL.partition("[routes")[2])
    assert f"auth.jwks.ca: {tmp_path}/ca: no such file or directory" in found
