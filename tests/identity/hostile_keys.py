"""Tokens against published keys that must be refused, each named for its attack. None of their keys is the issuer's,
or what is signed is not what is said."""

import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from tests.identity.forging import CLAIMS, HASHES, b64, key_kind, make_key, private_key, public_pem
from tests.identity.provider import jwk

Forge = Callable[[], str]
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2, section 2.4.2)
PAYLOAD = b64(json.dumps(dict(CLAIMS)))


def published() -> bytes:
    """One key an algorithm, by its name; PS256 shares RSA's numbers under an id of its own."""
    keys = [jwk(private_key(key_kind(each)), each, kid=each) for each in ALGORITHMS]
    keys.append(jwk(private_key("RSA"), "RS256", kid="enc", use="enc"))
    keys.append({"kty": "oct", "kid": "oct", "k": b64(b"k" * 32), "alg": "HS256"})
    return json.dumps({"keys": keys}).encode()


def token(signature: bytes | str, **header: object) -> str:
    encoded = signature if isinstance(signature, str) else b64(signature)
    return f"{b64(json.dumps(header))}.{PAYLOAD}.{encoded}"


def good(algorithm: str, key: Any = None, **header: object) -> str:
    """As the issuer signs, but for what is given."""
    key = key or private_key(key_kind(algorithm))
    headers = {name: value for name, value in {"kid": algorithm, **header}.items() if value is not None}
    return jwt.encode(dict(CLAIMS), key, algorithm=algorithm, headers=headers)


def signed_input(**header: object) -> bytes:
    return f"{b64(json.dumps(header))}.{PAYLOAD}".encode()


def ecdsa(r: int, s: int, size: int = 32) -> bytes:
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def es256(r: int, s: int) -> Forge:
    return lambda: token(ecdsa(r, s), alg="ES256", kid="ES256")


def hmac_with(key: bytes | str, algorithm: str = "HS256", **header: object) -> Forge:
    def make() -> str:
        said = {"alg": algorithm, **header}
        secret = key.encode() if isinstance(key, str) else key
        return token(hmac.digest(secret, signed_input(**said), HASHES[algorithm]), **said)

    return make


def der_signature() -> str:
    header = {"alg": "ES256", "kid": "ES256"}
    key: Any = private_key("P-256")
    return token(key.sign(signed_input(**header), ec.ECDSA(hashes.SHA256())), **header)


def swapped_halves() -> str:
    head, payload, signature = good("ES256").split(".")
    raw = jwt.utils.base64url_decode(signature)
    return f"{head}.{payload}.{b64(raw[32:] + raw[:32])}"


def unequal_halves() -> str:
    """r and s as numbers of 33 and 31 bytes: the same bytes to who splits in the middle after stripping zeros."""
    head, payload, signature = good("ES256").split(".")
    raw = jwt.utils.base64url_decode(signature)
    return f"{head}.{payload}.{b64(bytes(1) + raw)}"


def other_curve() -> str:
    """Rightly signed on P-384, and said to be ES256."""
    header = {"alg": "ES256", "kid": "ES384"}
    key: Any = private_key("P-384")
    r, s = utils.decode_dss_signature(key.sign(signed_input(**header), ec.ECDSA(hashes.SHA256())))
    return token(ecdsa(r, s, 48), **header)


def rsa_signed(pad: padding.AsymmetricPadding, digest: hashes.HashAlgorithm, **header: object) -> Forge:
    def make() -> str:
        key = private_key("RSA")
        assert isinstance(key, rsa.RSAPrivateKey)
        return token(key.sign(signed_input(**header), pad, digest), **header)

    return make


def der(kind: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key(kind).public_key().public_bytes(serialization.Encoding.DER, form)


def trailing_bits() -> str:
    """The last character of a 64-byte signature has four bits to spare; a lenient reader ignores them."""
    text = good("ES256")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


STRANGER: dict[str, Any] = {}


def stranger(algorithm: str) -> Any:
    """A key that nobody published, of the right kind."""
    return STRANGER.setdefault(algorithm, make_key(key_kind(algorithm)))


def pss(salt: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), salt)


PKCS1 = padding.PKCS1v15()
STRANGE_IDS = {
    "a path": "../../../../dev/null",
    "an absolute path": "/etc/passwd",
    "a query": "' OR '1'='1",
    "a statement": "x'; DROP TABLE keys; --",
    "a URL": "https://evil.example/keys",
    "a file URL": "file:///dev/null",
    "a command": "$(id)|id;`id`",
    "a template": "${jndi:ldap://evil.example/a}",
    "NUL behind the id": "ES256\0",
    "line breaks": "ES256\r\nX: y",
    "very long": "k" * 4000,
    "empty": "",
    "a space": " ",
    "the id in other case": "es256",
    "the id with a space": "ES256 ",
    "a lone surrogate": "ES256\ud800",
    "a right-to-left mark": "\u200fES256",
    "another form of the id": "ES\u00b2\u2075\u2076",
    "a full-width id": "\uff25\uff33256",
}

_CONFUSED: list[tuple[str, Forge]] = [
    ("HS256 with the public key's PEM", hmac_with(public_pem("RSA"), kid="RS256")),
    ("HS256 with the PEM without its last line break", hmac_with(public_pem("RSA").strip(), kid="RS256")),
    ("HS256 with the public key's DER", hmac_with(der("RSA"), kid="RS256")),
    ("HS256 with the curve's PEM", hmac_with(public_pem("P-256"), kid="ES256")),
    ("HS256 with the published document", lambda: hmac_with(published())()),
    ("HS256 with a shared secret that was published", hmac_with(b"k" * 32, kid="oct")),
    ("HS256 with an empty secret", hmac_with(b"")),
    ("HS512 with the modulus", hmac_with(b"\0" * 64, "HS512", kid="RS256")),
    ("none without a signature", lambda: token("", alg="none", kid="ES256")),
    ("none with the signature of another", lambda: token(good("ES256").split(".")[2], alg="none", kid="ES256")),
    ("NONE", lambda: token("", alg="NONE")),
    ("RS256 said, the curve's id", lambda: good("RS256", kid="ES256")),
    ("ES256 said, RSA's id", lambda: good("ES256", kid="RS256")),
    ("the key's alg is RS256, the token's PS256", rsa_signed(pss(32), hashes.SHA256(), alg="PS256", kid="RS256")),
    ("the key's alg is PS256, the token's RS256", rsa_signed(PKCS1, hashes.SHA256(), alg="RS256", kid="PS256")),
    ("RS384 with a key for RS256", rsa_signed(PKCS1, hashes.SHA384(), alg="RS384", kid="RS256")),
    ("a key for encryption", rsa_signed(PKCS1, hashes.SHA256(), alg="RS256", kid="enc")),
    ("ES384 said, the curve of ES256", lambda: token(good("ES256").split(".")[2], alg="ES384", kid="ES384")),
    ("signed on another curve", other_curve),
    ("EdDSA with the curve's id", lambda: good("EdDSA", kid="ES256")),
    ("ES256K", lambda: token(bytes(64), alg="ES256K", kid="ES256")),
    ("RS1", lambda: token(bytes(256), alg="RS1", kid="RS256")),
    ("alg of encryption", lambda: token(bytes(256), alg="RSA-OAEP", kid="RS256")),
    ("a JWE of five parts", lambda: f"{b64(json.dumps({'alg': 'RSA-OAEP', 'enc': 'A256GCM', 'kid': 'enc'}))}.a.b.c.d"),
    ("a JWS that says enc", lambda: good("ES256", key=stranger("ES256"), enc="A256GCM")),
]
_OFFERED: list[tuple[str, Forge]] = [
    ("own key in jwk", lambda: good("ES256", stranger("ES256"), jwk=jwk(stranger("ES256"), "ES256"))),
    ("own key in jwk, no kid", lambda: good("ES256", stranger("ES256"), kid=None, jwk=jwk(stranger("ES256"), "ES256"))),
    ("own key in x5c", lambda: good("RS256", stranger("RS256"), x5c=[b64(der("RSA"))])),
    ("own key's thumbprint", lambda: good("ES256", stranger("ES256"), x5t="abc", **{"x5t#S256": "abc"})),
    ("own RSA key", lambda: good("RS256", stranger("RS256"))),
    ("own Ed25519 key", lambda: good("EdDSA", stranger("EdDSA"))),
    ("crit that nobody knows", lambda: good("ES256", crit=["http://example.com/UNDEFINED"])),
    ("crit of b64", lambda: good("ES256", crit=["b64"], b64=True)),
]
_NUMBERS: list[tuple[str, Forge]] = [
    ("r and s zero", es256(0, 0)),
    ("r zero", es256(0, 1)),
    ("s zero", es256(1, 0)),
    ("r and s one", es256(1, 1)),
    ("r the order", es256(ORDER, 1)),
    ("s the order", es256(1, ORDER)),
    ("r and s the order", es256(ORDER, ORDER)),
    ("r the order and one", es256(ORDER + 1, 1)),
    ("all bits set", es256(2**256 - 1, 2**256 - 1)),
    ("numbers of 2,048 bytes", lambda: token(b"\xff" * 4096, alg="ES256", kid="ES256")),
    ("no number", lambda: token("", alg="ES256", kid="ES256")),
    ("one byte", lambda: token(b"\1", alg="ES256", kid="ES256")),
    ("an odd length", lambda: token(bytes(63), alg="ES256", kid="ES256")),
    ("ASN.1 instead of two numbers", der_signature),
    ("r and s swapped", swapped_halves),
    ("a leading zero", unequal_halves),
    ("spare bits set", trailing_bits),
    ("RSA zero", lambda: token(bytes(256), alg="RS256", kid="RS256")),
    ("RSA one", lambda: token(bytes(255) + b"\1", alg="RS256", kid="RS256")),
    ("RSA above the modulus", lambda: token(b"\xff" * 256, alg="RS256", kid="RS256")),
    ("RSA longer than the modulus", lambda: token(b"\1" * 512, alg="RS256", kid="RS256")),
    ("RSA of SHA-1", rsa_signed(PKCS1, hashes.SHA1(), alg="RS256", kid="RS256")),
    ("RSA of another hash", rsa_signed(PKCS1, hashes.SHA512(), alg="RS256", kid="RS256")),
    ("PSS with another hash", rsa_signed(pss(32), hashes.SHA512(), alg="PS256", kid="PS256")),
    ("Ed25519 zero", lambda: token(bytes(64), alg="EdDSA", kid="EdDSA")),
    ("Ed25519 with a neutral point", lambda: token(b"\1" + bytes(63), alg="EdDSA", kid="EdDSA")),
    ("Ed25519 of 63 bytes", lambda: token(bytes(63), alg="EdDSA", kid="EdDSA")),
]  # fmt: skip
_IDS = [(f"kid {name}", partial(good, "ES256", stranger("ES256"), kid=key_id)) for name, key_id in STRANGE_IDS.items()]
_IDS += [(f"kid {name}, rightly signed", partial(good, "ES256", kid=key_id)) for name, key_id in STRANGE_IDS.items()]

HOSTILE_KEYS = [pytest.param(make, id=name) for name, make in [*_CONFUSED, *_OFFERED, *_NUMBERS, *_IDS]]
