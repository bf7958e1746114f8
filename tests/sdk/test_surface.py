"""Both clients have the same methods, parameters, results and words."""

import inspect
import subprocess
import sys
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._asyncio import resources as asynchronous
from gatewayd_sdk._blocking import resources as blocking

RESOURCES = ("Email", "Rag", "Scraper", "Support", "AIOps", "Usage", "Agents")
PAIRS = [(getattr(asynchronous, f"Async{name}"), getattr(blocking, name)) for name in RESOURCES]


def surface(cls: type) -> dict[str, tuple[str, str | None]]:
    """The public names of a class, with signature and docstring, as if it were the blocking one."""
    found = {}
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") and name != "__init__":
            continue
        told: Any = member.fget if isinstance(member, property) else member
        words = str(inspect.signature(told))
        found[name] = words.replace("_asyncio", "_blocking").replace("Async", ""), inspect.getdoc(member)
    return found


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=RESOURCES)
def test_the_resources_have_the_same_surface(one: type, other: type) -> None:
    assert surface(one) == surface(other)


def test_the_clients_have_the_same_methods_and_parameters() -> None:
    one, other = surface(sdk.AsyncGateway), surface(sdk.Gateway)
    assert one.keys() == other.keys()
    for name in one.keys() - {"__init__"}:
        assert one[name] == other[name], name
    parameters = [list(inspect.signature(cls).parameters) for cls in (sdk.AsyncGateway, sdk.Gateway)]
    assert parameters[0] == parameters[1]


def test_every_public_name_is_there() -> None:
    assert all(getattr(sdk, name) is not None for name in sdk.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = sdk.nothing_like_it


def test_importing_it_brings_no_http_library_and_nothing_of_the_gateway() -> None:
    code = "import sys, gatewayd_sdk; print({'aiohttp', 'urllib3', 'gatewayd'} & {name for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
