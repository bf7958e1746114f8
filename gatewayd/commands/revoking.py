"""revoke: refuse tokens before they expire."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from gatewayd.clock import SystemClock
from gatewayd.commands.common import AUDITED, audited, config_option, fail, load_for
from gatewayd.errors import StoreError
from gatewayd.model import Revocation, rfc3339
from gatewayd.stores.open import open_clerk

# RFC 3339 section 5.6; `fromisoformat` takes more than that.
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Moment(click.ParamType[float]):
    """An RFC 3339 time as UTC seconds; not one to come, which would refuse tokens that are not issued yet."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            moment = _moment(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write 2026-11-24T09:30:00Z, or +01:00 for Z", param, ctx)
        if moment > SystemClock().utc():
            self.fail(f"{value!r} is to come: tokens not issued yet would be refused, for good", param, ctx)
        return moment


def _moment(text: str) -> float:
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper()).timestamp()


@click.command(epilog="Example: gatewayd revoke --user ann --issued-before 2026-11-24T09:30:00Z")
@config_option
@click.option("--jti", metavar="ID", help="The one token with this id.")
@click.option("--user", help="Every token of this user, issued until now or the given time.")
@click.option("--issued-before", type=Moment(), metavar="TIME", help="Everybody's (or --user's), by RFC 3339 time.")
def revoke(config: Path, jti: str | None, user: str | None, issued_before: float | None) -> None:
    """Refuse tokens from now on, in streams that are open too; a running daemon does within 1 s."""
    revocation = chosen(jti, user, issued_before, SystemClock().utc())
    settings = load_for(("ledger", *AUDITED), config)
    try:
        with open_clerk(settings.ledger.url.reveal()) as clerk:
            clerk.revoke(revocation)
    except StoreError as error:
        fail(error)
    audited(settings, "revoke", tokens=revocation.kind, subject=revocation.subject)
    click.echo(f"revoked {told(revocation)}; a running daemon refuses them within 1 s and ends their open streams")


def chosen(jti: str | None, user: str | None, issued_before: float | None, now: float) -> Revocation:
    """What the options say. Raises UsageError."""
    if jti is not None and (user is not None or issued_before is not None):
        raise click.UsageError("--jti names one token: leave out --user and --issued-before")
    if jti == "" or user == "":
        raise click.UsageError("--jti and --user need a name that is not empty")
    until = now if issued_before is None else issued_before
    if jti is not None:
        return Revocation("token", jti, until)
    if user is not None:
        return Revocation("user", user, until)
    if issued_before is not None:
        return Revocation("all", "", until)
    raise click.UsageError("say which tokens: --jti ID, --user U or --issued-before TIME")


def told(revocation: Revocation) -> str:
    """The tokens in words."""
    kind, subject, until = revocation
    if kind == "token":
        return f"the token with the id {subject}"
    whose = f"{subject}'s" if kind == "user" else "everybody's"
    return f"{whose} tokens issued until {rfc3339(until)}"
