"""Both clients have the same methods, parameters, results and words."""

import inspect
import re
import subprocess
import sys
from typing import Any, get_overloads

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._asyncio import raw as raw_asynchronous
from gatewayd_sdk._asyncio import resources as asynchronous
from gatewayd_sdk._blocking import raw as raw_blocking
from gatewayd_sdk._blocking import resources as blocking

RESOURCES = ("Email", "Rag", "Scraper", "Support", "AIOps", "Usage", "Agents")
OPEN = ("Gateway", "ChatStream", "ResponseStream", "SupportSession", "EmailHistory")
PAIRS = [
    *(pytest.param(getattr(asynchronous, f"Async{name}"), getattr(blocking, name), id=name) for name in RESOURCES),
    *(pytest.param(getattr(sdk, f"Async{name}"), getattr(sdk, name), id=name) for name in OPEN),
]
RAW = ("RawGateway", *(f"Raw{name}" for name in RESOURCES))
ALIKE = {"__aiter__": "__iter__", "__anext__": "__next__", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def told(words: str) -> str:
    """A signature as the blocking client has it: what is awaited there is there at once."""
    words = words.replace("collections.abc.", "").replace("typing.", "").replace("_asyncio", "_blocking")
    words = re.sub(r"\bAsync(?=Iter)", "", words).replace("Async", "")
    words = re.sub(r"Coroutine\[Any, Any, ([^][]*)\]", r"\1", words)
    words = re.sub(r"(?:[\w.]+\.)?Opening(?:Events)?\[([^][,]*)(?:, [^][]*)?\]", r"\1", words)
    return re.sub(r"(\w+) \| Awaitable\[\1\]", r"\1", words)


def surface(cls: type) -> dict[str, tuple[list[str], str | None]]:
    """The public names of a class, with signatures and docstring."""
    found = {}
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") and name not in ("__init__", *ALIKE, *ALIKE.values()):
            continue
        function: Any = member.fget if isinstance(member, property) else member
        ways: list[Any] = [*get_overloads(function), function] if inspect.isfunction(function) else []
        doc = inspect.getdoc(member)
        found[ALIKE.get(name, name)] = [told(str(inspect.signature(each))) for each in ways], doc
    return found


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_both_clients_have_the_same_surface(one: type, other: type) -> None:
    mine, others = surface(one), surface(other)
    for special in ("__init__", "__aiter__", "__iter__"):
        mine.pop(special, None), others.pop(special, None)
    assert mine == others


def test_both_are_made_with_the_same_parameters() -> None:
    one, other = (inspect.signature(cls).parameters for cls in (sdk.AsyncGateway, sdk.Gateway))
    assert [(each.name, each.kind, each.default) for each in one.values()] == [
        (each.name, each.kind, each.default) for each in other.values()
    ]


@pytest.mark.parametrize("name", RAW)
def test_both_give_the_same_raw_answers(name: str) -> None:
    made = [
        {key for key in vars(cls(None)) | vars(cls) if not key.startswith("_")}
        for cls in (getattr(raw_asynchronous, f"Async{name}"), getattr(raw_blocking, name))
    ]
    assert made[0] == made[1]


def test_every_method_with_one_answer_gives_it_raw_too() -> None:
    for name in RESOURCES:
        methods = {key for key in vars(getattr(blocking, name)) if not key.startswith("_")}
        raw = getattr(raw_blocking, f"Raw{name}")
        assert methods - {"history", "connect"} == {
            key for key in vars(raw(None)) | vars(raw) if not key.startswith("_")
        }


def test_every_public_name_is_there() -> None:
    assert all(getattr(sdk, name) is not None for name in sdk.__all__)
    assert set(sdk.__all__) <= set(dir(sdk))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = sdk.nothing_like_it


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+)", sdk.__doc__ or "") + re.findall(r"(\w+Error) \d", sdk.__doc__ or "")
    errors = {name for name in sdk.__all__ if name.endswith("Error")}
    assert errors - {"GatewayError"} == set(drawn)
    assert all(issubclass(getattr(sdk, name), sdk.GatewayError) for name in errors)


def test_importing_it_brings_no_http_library_and_nothing_of_the_gateway() -> None:
    code = "import sys, gatewayd_sdk; print({'aiohttp', 'urllib3', 'gatewayd'} & {name for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
