"""Whether the algorithms that tokens may use and the keys to verify them with belong together (RFC 7518)."""

from collections.abc import Iterator, Mapping
from typing import Final

from gatewayd.config.document import KeyPath
from gatewayd.config.report import Report, key_name
from gatewayd.config.settings import IssuerSettings, Secret, Settings
from gatewayd.keys import judge_public_key, judge_secret, load_public_key, needs_secret, secret_bytes

_AUTH: Final[KeyPath] = ("auth",)
_ISSUERS: Final[KeyPath] = ("auth", "issuers")
_KEYS: Final = ("algorithms", "secret", "older_secrets", "public_key", "jwks_url", "issuer")
MOST_SECRETS: Final = 8
"""How many older secrets there may be: a token is tried with each."""


def check_token_keys(settings: Settings, report: Report) -> None:
    """Algorithms without a key, keys unfit for their algorithms, and (warnings) keys that nothing uses."""
    auth = settings.auth
    if not auth.issuers or auth.takes_unnamed:
        _Issuer(auth, _AUTH, report).check()
    for name, issuer in auth.issuers.items():
        _Issuer(issuer, (*_ISSUERS, name), report).check()
    if report.sound(_ISSUERS):
        _apart(settings, report)


class _Issuer:
    """One of those whose tokens are taken, where the configuration has it."""

    def __init__(self, issuer: IssuerSettings, path: KeyPath, report: Report) -> None:
        self._issuer = issuer
        self._path = path
        self._report = report
        self._shared = [name for name in issuer.algorithms if needs_secret(name)]
        self._published = [name for name in issuer.algorithms if not needs_secret(name)]

    def _at(self, *names: str) -> KeyPath:
        return (*self._path, *names)

    def _name(self, name: str) -> str:
        return key_name(self._at(name))

    def check(self) -> None:
        issuer, report = self._issuer, self._report
        if not report.sound(*(self._at(name) for name in _KEYS)):
            return
        if not (issuer.secret or issuer.public_key or issuer.jwks_url or issuer.provider):
            hint = 'secret = { env = "GATEWAYD_JWT_SECRET" } for HS*, else public_key or jwks_url'
            report.problem(self._at("secret"), "is missing: there is no key to verify tokens with", hint, at_key=True)
            return
        self._check_shared()
        self._check_published()
        for name, message in self._unused():
            report.warning(self._at(name), message, "add its algorithm, or leave the key out")
        self._check_ways()

    def _check_shared(self) -> None:
        issuer, report = self._issuer, self._report
        if self._shared and not issuer.secret:
            hint = "set secret, or name only the algorithms of your public key, such as RS256"
            report.problem(self._at("algorithms"), f"{self._shared[0]} needs {self._name('secret')}", hint)
        elif issuer.secret:
            self._judge(self._at("secret"), issuer.secret)
            for name, secret in issuer.older_secrets.items():
                self._judge(self._at("older_secrets", name), secret)
        if len(issuer.older_secrets) > MOST_SECRETS:
            report.problem(self._at("older_secrets"), f"are more than {MOST_SECRETS}", "a token is tried with each")

    def _judge(self, path: KeyPath, secret: Secret) -> None:
        given = secret_bytes(secret.reveal())
        if faults := [fault for name in self._shared if (fault := judge_secret(name, given))]:
            self._report.problem(path, faults[-1], "openssl rand -base64 64 makes a good one")

    def _check_published(self) -> None:
        issuer, report = self._issuer, self._report
        if issuer.public_key:
            for fault in _unfit(self._published, issuer.public_key, elsewhere=issuer.jwks_url is not None):
                report.problem(self._at("public_key"), fault)
        elif self._published and issuer.provider is None:
            message = f"{self._published[0]} needs {self._name('public_key')} or {self._name('jwks_url')}"
            report.problem(
                self._at("algorithms"), message, "or an issuer that is a URL and publishes where its keys are"
            )

    def _unused(self) -> Iterator[tuple[str, str]]:
        issuer = self._issuer
        if issuer.secret and not self._shared:
            yield "secret", "is not used: no HS* algorithm is accepted"
        if issuer.older_secrets and not self._shared:
            yield "older_secrets", "are not used: no HS* algorithm is accepted"
        if not self._published:
            if issuer.public_key:
                yield "public_key", "is not used: only HS* algorithms are accepted"
            if issuer.jwks_url:
                yield "jwks_url", "is not used: only HS* algorithms are accepted"

    def _check_ways(self) -> None:
        issuer, report = self._issuer, self._report
        for name, url in (("jwks_url", issuer.jwks_url), ("issuer", _asked(issuer))):
            if url is not None and url.startswith("http://"):
                message = "fetches keys unencrypted: who can change them can sign tokens"
                report.warning(self._at(name), message, "use https")
        if issuer.jwks.stale and issuer.jwks.stale < issuer.jwks.refresh:
            report.problem(self._at("jwks", "stale"), "is shorter than refresh", "0s is for ever")


def _asked(issuer: IssuerSettings) -> str | None:
    """The issuer, where it is asked for where its keys are."""
    return issuer.provider.issuer if issuer.provider is not None else None


def _apart(settings: Settings, report: Report) -> None:
    """Two issuers must be told apart by their tokens, and so should their users."""
    auth = settings.auth
    every: Mapping[KeyPath, IssuerSettings] = {
        **({_AUTH: auth} if auth.takes_unnamed else {}),
        **{(*_ISSUERS, name): issuer for name, issuer in auth.issuers.items()},
    }
    named: dict[str, KeyPath] = {}
    prefixes: dict[str, KeyPath] = {}
    for path, issuer in every.items():
        if issuer.issuer is not None and (other := named.setdefault(issuer.issuer, path)) != path:
            report.problem((*path, "issuer"), f"is that of {key_name(other)} as well", "join the two")
        if (other := prefixes.setdefault(issuer.user_prefix, path)) != path and len(path) > 1:
            message = f"is that of {key_name(other)} as well: users of one name are one user, with one quota"
            report.warning((*path, "user_prefix"), message, "give one of them a prefix of its own")


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
