"""Tokens made by hand, as an attacker makes them: nothing here refuses to sign nonsense."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gatewayd.config.settings import AuthSettings, JwksSettings, Secret

NOW = 1_764_000_000
SECRET = "a secret of sixty-four bytes, so that each of the three may use it"
JWKS = JwksSettings(refresh=300.0, cooldown=1.0, stale=604_800.0, timeout=5.0, ca=None)
CLAIMS: Mapping[str, object] = {"sub": "alice", "exp": NOW + 3600}
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
PUBLIC_KEY_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


def auth_settings(**changes: Any) -> AuthSettings:
    """The contract's defaults with an HS256 secret, changed as said."""
    defaults: dict[str, Any] = {
        "algorithms": ("HS256",),
        "secret": Secret(SECRET, "a test"),
        "public_key": None,
        "older_secrets": {},
        "jwks_url": None,
        "jwks": JWKS,
        "issuer": None,
        "audience": None,
        "leeway": 30.0,
        "user_claim": "sub",
        "plan_claim": "plan",
        "user_prefix": "",
        "role_claim": "role",
        "scope_claim": "scope",
        "tenant_claim": None,
        "require": ("exp", "sub"),
        "refuse_types": ("refresh",),
        "share_keys": False,
        "issuers": {},
    }
    return AuthSettings(**{**defaults, **changes})


def b64(raw: bytes | str) -> str:
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(head: str, payload: str, *, secret: str | bytes = SECRET, algorithm: str = "HS256") -> str:
    """Two encoded parts and their HMAC, whatever they are."""
    signed = f"{head}.{payload}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signed}.{b64(hmac.digest(key, signed.encode('utf-8', 'surrogatepass'), HASHES[algorithm]))}"


def forge(
    payload: str | bytes | None = None,
    *,
    header: str | bytes | None = None,
    secret: str | bytes = SECRET,
    claims: Mapping[str, object] = MappingProxyType({}),
    **more: str,
) -> str:
    """A rightly signed token: good claims changed by those given (... removes one), or the raw texts."""
    members = {name: value for name, value in {**CLAIMS, **claims, **more}.items() if value is not ...}
    text = json.dumps(members) if payload is None else payload
    return sign(b64(header or '{"alg":"HS256","typ":"JWT"}'), b64(text), secret=secret)


def with_header(**members: object) -> str:
    """A correctly signed token whose header has these members beside its alg."""
    return forge(header=json.dumps({"alg": "HS256", **members}))


def make_key(kind: str) -> PrivateKeyTypes:
    match kind:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "RSA-1024":
            return rsa.generate_private_key(public_exponent=65537, key_size=1024)
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {
        "P-256": ec.SECP256R1(),
        "P-384": ec.SECP384R1(),
        "P-521": ec.SECP521R1(),
    }
    return ec.generate_private_key(curves[kind])


private_key = cache(make_key)


def key_kind(algorithm: str) -> str:
    kinds = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
    return kinds.get(algorithm, "RSA")


def public_pem(kind: str) -> str:
    return pem_of(private_key(kind).public_key())


def pem_of(key: PublicKeyTypes) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(kind: str) -> str:
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key_settings(algorithm: str, **changes: Any) -> AuthSettings:
    """Settings that verify this algorithm with its test key, and nothing else."""
    pem = Secret(public_pem(key_kind(algorithm)), "a test")
    return auth_settings(**{"algorithms": (algorithm,), "secret": None, "public_key": pem, **changes})


def sign_with_key(algorithm: str, kind: str | None = None, **claims: object) -> str:
    """A token that is signed as its issuer would, with the test key of the algorithm's kind."""
    key: Any = private_key(kind or key_kind(algorithm))
    return jwt.encode({**CLAIMS, **claims}, key, algorithm=algorithm)


def words_of(error: BaseException) -> str:
    """All that an exception and whatever it drags along could print."""
    words = [str(error), repr(error), repr(error.args), repr(getattr(error, "__dict__", {}))]
    words += [words_of(other) for other in (error.__cause__, error.__context__) if other]
    return "\n".join(words)
