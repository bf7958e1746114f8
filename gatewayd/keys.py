"""Which key is fit for which signature algorithm (RFC 7518, RFC 8037): pure judgement, no settings."""

from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

# RFC 7518 section 3.2: a key at least as long as the hash, in bytes.
SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
# RFC 7518 section 3.4: each algorithm has its one curve.
CURVES: Final[dict[str, type[EllipticCurve]]] = {"ES256": SECP256R1, "ES384": SECP384R1, "ES512": SECP521R1}
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
RSA_BITS: Final = 2048  # RFC 7518 section 3.3
ALGORITHMS: Final = (*SECRET_BYTES, *RSA_ALGORITHMS, *CURVES, "EdDSA")


def needs_secret(algorithm: str) -> bool:
    """Whether the algorithm is verified with a shared secret (HS*), not with a public key."""
    return algorithm in SECRET_BYTES


def secret_bytes(text: str) -> bytes:
    """The secret as it was before the environment made text of it: surrogates stand for bytes (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it would quote the secret
        return text.encode("utf-8", "surrogatepass")


def judge_secret(algorithm: str, secret: bytes) -> str | None:
    """Why the secret is unfit for the HS* algorithm, without quoting it; None when it is fit."""
    if algorithm not in SECRET_BYTES:
        return f"{algorithm} is not verified with a secret"
    if len(secret) < (least := SECRET_BYTES[algorithm]):
        return f"{algorithm} needs a secret of at least {least} bytes, this one has {len(secret)}"
    if _is_published_key(secret):
        return f"{algorithm} needs a secret, this is a key or certificate that others may know"
    return None


def _is_published_key(secret: bytes) -> bool:
    """PEM, SSH, DER or JWK: as an HMAC secret it would let everyone sign who can read it."""
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError:
        return True
    return False


def load_public_key(pem: str) -> PublicKey:
    """The key of a PEM text. Raises ValueError ("is a private key; …"), which never quotes the text."""
    if "PRIVATE KEY-----" in pem:
        raise ValueError("is a private key; give its public half (openssl pkey -in key.pem -pubout)")
    if "CERTIFICATE-----" in pem:
        raise ValueError("is a certificate; give its public key (openssl x509 -in cert.pem -pubkey -noout)")
    try:
        key = load_pem_public_key(pem.encode("utf-8", "replace"))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if isinstance(key, PublicKey):
        return key
    raise ValueError("is a public key of a kind that verifies no tokens; give RSA, EC, Ed25519 or Ed448")


def judge_public_key(algorithm: str, key: PublicKey) -> str | None:
    """Why the key is unfit for the algorithm; None when it is fit."""
    if algorithm in RSA_ALGORITHMS:
        return _judge_rsa(algorithm, key)
    if algorithm in CURVES:
        return _judge_curve(algorithm, key)
    if algorithm == "EdDSA":
        fit = isinstance(key, Ed25519PublicKey | Ed448PublicKey)
        return None if fit else "EdDSA needs an Ed25519 or Ed448 key"
    return f"{algorithm} is not verified with a public key"


def _judge_rsa(algorithm: str, key: PublicKey) -> str | None:
    if not isinstance(key, RSAPublicKey):
        return f"{algorithm} needs an RSA key"
    if key.key_size < RSA_BITS:
        return f"{algorithm} needs an RSA key of at least {RSA_BITS} bits, this one has {key.key_size}"
    return None


def _judge_curve(algorithm: str, key: PublicKey) -> str | None:
    curve = CURVES[algorithm]
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, curve):
        return None
    return f"{algorithm} needs an EC key on the curve {curve.name}"
