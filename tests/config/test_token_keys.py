from functools import cache

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatewayd.config.loading import parse
from tests.config.shared import ROUTE, problems, settings, told, warned

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def _private(kind: str) -> Private:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


def _public_pem(kind: str) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return _private(kind).public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def _private_pem(kind: str) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return _private(kind).private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _auth(algorithms: str, *keys: str) -> str:
    sources = {
        "secret": 'secret = { env = "S" }',
        "key": 'public_key = { env = "K" }',
        "jwks": 'jwks_url = "https://idp/"',
    }
    return "\n".join(["[auth]", f"algorithms = {algorithms}", *(sources[key] for key in keys), ROUTE])


@pytest.mark.parametrize(
    ("algorithms", "secret", "kind", "keys"),
    [
        pytest.param('["HS256"]', "s" * 32, "", ("secret",), id="HS256"),
        pytest.param('["HS512", "HS256"]', "s" * 64, "", ("secret",), id="HS512"),
        pytest.param('["RS256", "PS512"]', "", "rsa2048", ("key",), id="RSA"),
        pytest.param('["ES384"]', "", "p384", ("key",), id="ES384"),
        pytest.param('["EdDSA"]', "", "ed25519", ("key",), id="EdDSA"),
        pytest.param('["HS256", "RS256"]', "s" * 32, "rsa2048", ("secret", "key"), id="both kinds"),
        pytest.param('["RS256", "ES256"]', "", "rsa2048", ("key", "jwks"), id="the other key is published"),
        pytest.param('["RS256"]', "", "", ("jwks",), id="published keys only"),
    ],
)
def test_algorithms_with_their_keys_are_accepted(
    algorithms: str, secret: str, kind: str, keys: tuple[str, ...]
) -> None:
    text = _auth(algorithms, *keys)
    environ = {"S": secret, "K": _public_pem(kind) if kind else ""}
    assert told(text, environ) == []
    assert warned(text, environ) == []


@pytest.mark.parametrize(
    ("algorithms", "keys", "problem"),
    [
        ('["none"]', ("secret",), "2:15: auth.algorithms[0]: must be one of "),
        ('["hs256"]', ("secret",), "2:15: auth.algorithms[0]: must be one of "),
        ('["HS256"]', (), "1:2: auth.secret: is missing"),
        ('["RS256"]', ("secret",), "2:14: auth.algorithms: RS256 needs auth.public_key or auth.jwks_url"),
        ('["RS256", "HS256"]', ("jwks",), "2:14: auth.algorithms: HS256 needs auth.secret"),
    ],
)
def test_algorithms_without_their_key_are_refused(algorithms: str, keys: tuple[str, ...], problem: str) -> None:
    (only,) = told(_auth(algorithms, *keys), {"S": "s" * 32})
    assert only.startswith(problem)


@pytest.mark.parametrize(
    ("algorithms", "length", "least"),
    [('["HS256"]', 31, 32), ('["HS384"]', 47, 48), ('["HS256", "HS512"]', 63, 64)],
)
def test_a_secret_shorter_than_the_hash_is_refused(algorithms: str, length: int, least: int) -> None:
    (problem,) = told(_auth(algorithms, "secret"), {"S": "s" * length})
    assert problem.startswith("3:10: auth.secret: ")
    assert f"at least {least} bytes, this one has {length}" in problem


def test_a_public_key_is_no_secret() -> None:
    (problem,) = told(_auth('["HS256"]', "secret"), {"S": _public_pem("p256")})
    assert "this is a key or certificate that others may know" in problem


@pytest.mark.parametrize(
    ("algorithms", "kind", "message"),
    [
        ('["RS256"]', "rsa1024", "RS256 needs an RSA key of at least 2048 bits, this one has 1024"),
        ('["RS256"]', "p256", "RS256 needs an RSA key"),
        ('["ES256"]', "p384", "ES256 needs an EC key on the curve secp256r1"),
        ('["EdDSA"]', "rsa2048", "EdDSA needs an Ed25519 or Ed448 key"),
    ],
)
def test_a_public_key_unfit_for_its_algorithm_is_refused(algorithms: str, kind: str, message: str) -> None:
    assert told(_auth(algorithms, "key"), {"K": _public_pem(kind)}) == [f"3:14: auth.public_key: {message}"]


def test_a_public_key_fit_for_no_algorithm_is_refused_beside_published_ones_too() -> None:
    (problem,) = told(_auth('["RS256"]', "key", "jwks"), {"K": _public_pem("p256")})
    assert "RS256 needs an RSA key" in problem


def test_a_private_key_is_refused_and_not_quoted() -> None:
    pem = _private_pem("p256")
    (problem,) = problems(_auth('["ES256"]', "key"), {"K": pem})
    assert "is a private key" in problem.message
    assert pem.splitlines()[1] not in str(problem)


def test_text_that_is_no_key_is_refused() -> None:
    (problem,) = told(_auth('["ES256"]', "key"), {"K": "hello"})
    assert "is not a public key in PEM" in problem


def test_keys_that_nothing_uses_are_warnings() -> None:
    assert warned(_auth('["HS256"]', "secret", "key", "jwks"), {"S": "s" * 32, "K": _public_pem("p256")}) == [
        "auth.public_key: is not used: only HS* algorithms are accepted",
        "auth.jwks_url: is not used: only HS* algorithms are accepted",
    ]
    assert warned(_auth('["RS256"]', "secret", "jwks"), {"S": "s" * 32}) == [
        "auth.secret: is not used: no HS* algorithm is accepted"
    ]


def test_keys_fetched_unencrypted_are_a_warning() -> None:
    text = _auth('["RS256"]', "jwks").replace("https:", "http:")
    assert warned(text) == ["auth.jwks_url: fetches keys unencrypted: who can change them can sign tokens"]


def test_a_key_that_cannot_be_had_is_told_once() -> None:
    assert told(_auth('["HS256"]', "secret"), {}) == ["3:10: auth.secret: the variable S is not set"]


def _issuers(*texts: str) -> str:
    return "".join(texts) + ROUTE


CORP = '[auth.issuers.corp]\nissuer = "https://corp.example/"\n'
PARTNER = '[auth.issuers.partner]\nissuer = "https://partner.example/"\nuser_prefix = "p:"\n'


def test_issuers_that_are_urls_need_no_key_of_their_own() -> None:
    text = _issuers(CORP, PARTNER)
    assert told(text) == warned(text) == []
    auth = settings(text).auth
    assert not auth.takes_unnamed
    assert [each.provider.issuer for each in auth.issuers.values() if each.provider] == [
        "https://corp.example/",
        "https://partner.example/",
    ]
    assert auth.issuers["corp"].algorithms == ("RS256", "ES256")


def test_an_issuer_is_said_in_ini_too() -> None:
    ini = "[issuer:corp]\nissuer = https://corp.example/\nrole_claim = /realm/roles\njwks.cooldown = 2s\n"
    ini += "older_secrets.last.env = S\nsecret.env = S\nalgorithms = HS256, RS256\n"
    toml = CORP + 'role_claim = "/realm/roles"\njwks = { cooldown = "2s" }\nalgorithms = ["HS256", "RS256"]\n'
    toml += 'secret = { env = "S" }\nolder_secrets = { last = { env = "S" } }\n'
    route = "[route:email]\nprefix = /api/email\nupstream = http://127.0.0.1:8081/api/email\n"
    environ = {"S": "s" * 32}
    assert parse(ini + route, "g.ini", environ).settings.auth == settings(toml + ROUTE, environ).auth


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[auth.issuers.corp]\n", "1:2: auth.issuers.corp.issuer: is missing"),
        ('[auth.issuers.corp]\nissuer = "corp"\n', "auth.issuers.corp.secret: is missing: there is no key"),
        (CORP + 'algorithms = ["HS256"]\n', "auth.issuers.corp.secret: is missing: there is no key"),
        (
            CORP + 'algorithms = ["HS256", "RS256"]\n',
            "auth.issuers.corp.algorithms: HS256 needs auth.issuers.corp.secret",
        ),
        (CORP + CORP.replace("corp]", "twin]"), "auth.issuers.twin.issuer: is that of auth.issuers.corp as well"),
        (CORP + 'role_claim = "/realm/"\n', "auth.issuers.corp.role_claim: is not a JSON pointer"),
        (CORP + 'jwks = { cooldown = "0s" }\n', "auth.issuers.corp.jwks.cooldown: must be longer than 0s"),
        (CORP + 'jwks = { stale = "1m" }\n', "auth.issuers.corp.jwks.stale: is shorter than refresh"),
        (CORP + 'older_secrets = { a = { env = "NONE" } }\n', "auth.issuers.corp.older_secrets.a: the variable NONE"),
    ],
)
def test_what_an_issuer_cannot_be_is_told_with_its_place(text: str, problem: str) -> None:
    (found,) = told(_issuers(text))
    assert problem in found


def test_older_secrets_are_judged_like_the_newest_and_bounded() -> None:
    keys = ", ".join(f'k{n} = {{ env = "S" }}' for n in range(9))
    text = f'[auth]\nsecret = {{ env = "S" }}\nolder_secrets = {{ short = {{ env = "T" }} }}\n{ROUTE}'
    (found,) = told(text, {"S": "s" * 32, "T": "t" * 31})
    assert "auth.older_secrets.short: HS256 needs a secret of at least 32 bytes, this one has 31" in found
    (found,) = told(f'[auth]\nsecret = {{ env = "S" }}\nolder_secrets = {{ {keys} }}\n{ROUTE}', {"S": "s" * 32})
    assert "auth.older_secrets: are more than 8" in found


def test_users_of_two_issuers_who_could_be_one_are_a_warning() -> None:
    (found,) = warned(_issuers(CORP, PARTNER.replace('user_prefix = "p:"\n', "")))
    assert found.startswith("auth.issuers.partner.user_prefix: is that of auth.issuers.corp as well: users of one name")


def test_an_issuer_asked_unencrypted_is_a_warning() -> None:
    found = warned(_issuers(CORP.replace("https:", "http:")))
    assert found == ["auth.issuers.corp.issuer: fetches keys unencrypted: who can change them can sign tokens"]
