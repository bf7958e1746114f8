"""What operators decided, from rows in the order of their changes to a page; pure."""

from collections.abc import Sequence

from gatewayd.model import DirectoryPage, Revocation

ACCOUNT = "account"
"""The kind of a row that is a user's plan; the others are kinds of revocations."""

Changed = tuple[int, str, str, str, float]
"""The version with which the row was changed, its kind, its subject, the plan, and the time until which."""


def page_of(since: int, version: int, most: int, rows: Sequence[Changed]) -> DirectoryPage:
    """The page of the rows after `since`, of which there may be more if these are `most`; `version` is the last one."""
    more = len(rows) == most
    return DirectoryPage(
        since,
        rows[-1][0] if more else version,
        {subject: plan for _, kind, subject, plan, _ in rows if kind == ACCOUNT},
        tuple(Revocation(kind, subject, until) for _, kind, subject, _, until in rows if kind != ACCOUNT),  # type: ignore[arg-type]
        more,
    )
