"""The configuration reference as a page, written from the schema; `docs/configuration.md` is what this says.

`python -m gatewayd.config.reference > docs/configuration.md` writes it anew, and a test holds the two together.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from gatewayd.config.schema import ROOT
from gatewayd.config.shape import ABSENT, REQUIRED, Key, MapOf, Table

_HEAD: Final = """\
# Configuration reference

Written from the schema; every key, its default and a sentence. [`conf/gatewayd.toml`](../conf/gatewayd.toml) is a
file with all of them, [`conf/gatewayd.ini`](../conf/gatewayd.ini) says the same in INI.

The file is TOML, or INI if its name ends in `.ini` or `.cfg`: sections `[route:email]`,
`[plan:free]`, `[issuer:corp]`, lists with commas, nested tables as dotted keys (`timeouts.connect = 2s`).
`conf.d/*.toml` beside it is merged in byte order.
`${VAR}` and `${VAR:-default}` are replaced inside strings, after parsing. An unknown key is an error.

A **duration** is `"250ms"`, `"2s"`, `"5m"`, `"1h"`; a **size** is `"64KiB"`, `"25MiB"`; a **rate** is `"60/minute"`,
with a burst `"60/minute burst 20"`. A **secret** is `{ env = "VAR" }`, `{ file = "/path" }` or
`{ credential = "name" }`; a literal works with a warning.
"""


def reference() -> str:
    """The whole page."""
    return _HEAD + "".join(_section(path, key, table) for path, key, table in _tables((), ROOT))


def _tables(path: tuple[str, ...], table: Table) -> Iterator[tuple[tuple[str, ...], Key, Table]]:
    for key in table.keys:
        if isinstance(key.kind, Table):
            yield (*path, key.name), key, key.kind
            yield from _tables((*path, key.name), key.kind)
        elif isinstance(key.kind, MapOf) and isinstance(key.kind.item, Table):
            named = (*path, key.name, "NAME")
            yield named, key, key.kind.item
            yield from _tables(named, key.kind.item)


def _section(path: tuple[str, ...], key: Key, table: Table) -> str:
    rows = "".join(_row(each) for each in table.keys if not isinstance(each.kind, Table))
    return f"\n## `[{'.'.join(path)}]`\n\n{key.help}\n\n| key | kind | default | |\n|---|---|---|---|\n{rows}"


def _row(key: Key) -> str:
    return f"| `{key.name}` | {key.kind.name} | {_default(key.default)} | {key.help} |\n"


def _default(value: Any) -> str:
    if value is REQUIRED:
        return "*required*"
    return "*absent*" if value is ABSENT else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
