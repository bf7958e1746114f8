"""Whether the algorithms that tokens may use and the keys to verify them with belong together (RFC 7518)."""

from collections.abc import Iterator
from typing import Final

from gatewayd.config.document import KeyPath
from gatewayd.config.report import Report
from gatewayd.config.settings import AuthSettings, Secret, Settings
from gatewayd.keys import judge_public_key, judge_secret, load_public_key, needs_secret, secret_bytes

_ALGORITHMS: Final[KeyPath] = ("auth", "algorithms")
_SECRET: Final[KeyPath] = ("auth", "secret")
_PUBLIC_KEY: Final[KeyPath] = ("auth", "public_key")
_JWKS_URL: Final[KeyPath] = ("auth", "jwks_url")


def check_token_keys(settings: Settings, report: Report) -> None:
    """Algorithms without a key, keys unfit for their algorithms, and (warnings) keys that nothing uses."""
    auth = settings.auth
    if not report.sound(_ALGORITHMS, _SECRET, _PUBLIC_KEY, _JWKS_URL):
        return
    if not (auth.secret or auth.public_key or auth.jwks_url):
        hint = 'secret = { env = "GATEWAYD_JWT_SECRET" } for HS*, else public_key or jwks_url'
        report.problem(_SECRET, "is missing: there is no key to verify tokens with", hint, at_key=True)
        return
    shared = [name for name in auth.algorithms if needs_secret(name)]
    published = [name for name in auth.algorithms if not needs_secret(name)]
    _shared(shared, auth, report)
    _published(published, auth, report)
    for path, message in _unused(shared, published, auth):
        report.warning(path, message, "add its algorithm, or leave the key out")
    if auth.jwks_url and auth.jwks_url.startswith("http://"):
        report.warning(_JWKS_URL, "fetches keys unencrypted: who can change them can sign tokens", "use https")


def _shared(names: list[str], auth: AuthSettings, report: Report) -> None:
    if names and not auth.secret:
        hint = "set secret, or name only the algorithms of your public key, such as RS256"
        report.problem(_ALGORITHMS, f"{names[0]} needs auth.secret", hint)
    elif auth.secret:
        secret = secret_bytes(auth.secret.reveal())
        if faults := [fault for name in names if (fault := judge_secret(name, secret))]:
            report.problem(_SECRET, faults[-1], "openssl rand -base64 64 makes a good one")


def _published(names: list[str], auth: AuthSettings, report: Report) -> None:
    if auth.public_key:
        for fault in _unfit(names, auth.public_key, elsewhere=auth.jwks_url is not None):
            report.problem(_PUBLIC_KEY, fault)
    elif names and not auth.jwks_url:
        report.problem(_ALGORITHMS, f"{names[0]} needs auth.public_key or auth.jwks_url")


def _unfit(names: list[str], public_key: Secret, *, elsewhere: bool) -> Iterator[str]:
    """`elsewhere`: the keys of the other algorithms are published at a URL."""
    try:
        key = load_public_key(public_key.reveal())
    except ValueError as error:
        yield str(error)
        return
    faults = [fault for name in names if (fault := judge_public_key(name, key))]
    if not elsewhere or len(faults) == len(names):
        yield from faults


def _unused(shared: list[str], published: list[str], auth: AuthSettings) -> Iterator[tuple[KeyPath, str]]:
    if auth.secret and not shared:
        yield _SECRET, "is not used: no HS* algorithm is accepted"
    if not published:
        if auth.public_key:
            yield _PUBLIC_KEY, "is not used: only HS* algorithms are accepted"
        if auth.jwks_url:
            yield _JWKS_URL, "is not used: only HS* algorithms are accepted"
