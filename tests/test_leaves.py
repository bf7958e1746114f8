"""What the compiler may keep from the collector refers to nothing that could refer back."""

import ast
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayd.model import Pace, Tally

PACKAGE = Path(__file__).parent.parent / "gatewayd"
LEAVES = {"str", "bytes", "int", "float", "bool", "None", "Final", "frozenset", "Account", "Outcome", "BillingPeriod"}
LOOKED_AT = {
    "Mark": "words, numbers, the memory and a row, which know no mark",
    "Row": "lists of numbers and a function of C's",
    "_Verified": "an identity and numbers",
    "_Windows": "windows and texts",
    "Window": "its mark, see there",
}


def marked() -> Iterator[ast.ClassDef]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and any("acyclic" in ast.unparse(each) for each in node.decorator_list):
                yield node


MARKED = {each.name: each for each in marked()}


def test_what_is_marked_is_found() -> None:
    assert len(MARKED) > 15


@pytest.mark.parametrize("name", sorted(MARKED.keys() - LOOKED_AT.keys()))
def test_a_class_that_the_collector_does_not_see_holds_nothing_that_could_lead_back_to_it(name: str) -> None:
    fields = [each for each in MARKED[name].body if isinstance(each, ast.AnnAssign)] + [
        each for each in ast.walk(MARKED[name]) if isinstance(each, ast.AnnAssign) and "self." in ast.unparse(each)
    ]
    named = {node.id for each in fields for node in ast.walk(each.annotation) if isinstance(node, ast.Name)}
    assert named <= LEAVES | MARKED.keys()


def test_the_collector_sees_none_of_them_where_they_are_compiled() -> None:
    compiled = os.environ.get("TRIED_BUILD") == "compiled"
    assert gc.is_tracked(Tally(True, 1, 0.0, 0.0)) is not compiled
    assert gc.is_tracked(Pace(1, 1, 1)) is not compiled
