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
