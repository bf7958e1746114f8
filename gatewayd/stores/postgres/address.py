"""Where the database is, and its driver's errors in words; the password stays in here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import parse_dsn

from gatewayd.errors import StoreError

# What an address may say otherwise. Keep-alives and tcp_user_timeout (ms) end a connection whose far end is gone.
DEFAULTS: Final = {
    "application_name": "gatewayd",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}
# While it connects, the driver tells no code, only the server's words.
REFUSED: Final = re.compile(r"authentication failed|does not exist|pg_hba\.conf|not permitted to log in|no password")
FOR_GOOD: Final = frozenset(
    {
        errorcodes.INSUFFICIENT_PRIVILEGE,
        errorcodes.INVALID_AUTHORIZATION_SPECIFICATION,
        errorcodes.INVALID_CATALOG_NAME,
        errorcodes.INVALID_PASSWORD,
        errorcodes.INVALID_SCHEMA_NAME,
    }
)
MEND: Final = "correct ledger.url, or what the server grants to its user"


@dataclass(frozen=True, slots=True)
class Address:
    """`name` is for people and never holds the password; `parameters` are for the driver."""

    name: str
    parameters: Mapping[str, str] = field(repr=False)


def located(rest: str) -> Address:
    """What follows `postgresql:` in an address. Raises StoreError, which quotes nothing of it."""
    try:
        found = parse_dsn(f"postgresql:{rest}") if rest.startswith("//") and "\0" not in rest else None
    except (psycopg2.Error, UnicodeEncodeError):
        found = None
    if found is None or _looks_misread(found):
        raise StoreError("ledger.url: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, each percent-encoded")
    place = found.get("host", found.get("hostaddr", ""))
    port = f":{found['port']}" if "port" in found else ""
    name = f"postgresql://{place}{port}/{found.get('dbname', found.get('user', ''))}"
    return Address(name, {**DEFAULTS, **found, "client_encoding": "UTF8"})


def _looks_misread(found: Mapping[str, str]) -> bool:
    """Whether a password with a bare `/` or `:` in it was taken for a port and a database, which would be named."""
    ports = found.get("port", "0").split(",")
    return not all(port.isdecimal() or not port for port in ports) or "@" in found.get("dbname", "")


def reason(error: BaseException) -> str:
    """One line of what the driver or the server said."""
    said = isinstance(error, psycopg2.Error) and error.diag.message_primary
    lines = str(said or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def lasts(error: BaseException | None) -> bool:
    """Whether somebody must mend something first: trying again alone will not help."""
    if not isinstance(error, psycopg2.Error):
        return False
    if error.pgcode is None:
        return bool(REFUSED.search(str(error))) and "No such file" not in str(error)
    return error.pgcode in FOR_GOOD


def in_words(address: Address, error: BaseException) -> StoreError:
    hint = MEND if lasts(error) else "start it, or correct ledger.url"
    return StoreError(f"ledger {address.name} cannot be used ({reason(error)}): {hint}")
