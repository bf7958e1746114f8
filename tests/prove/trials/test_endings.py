from pathlib import Path

import pytest

from gatewayd.model import Outcome
from gatewayd.prove.agent import PIECE, Ending
from gatewayd.prove.books import Books
from gatewayd.prove.caller import Answer
from gatewayd.prove.findings import Finding
from gatewayd.prove.trials.endings import BROKEN_BODY, judge, judge_record
from tests.prove.records import row, wrongs
from tests.prove.trying import SMALL, assert_kept


async def test_broken_bodies_are_seen_to_be_broken(tmp_path: Path) -> None:
    findings = await SMALL["endings"].tried(tmp_path)
    assert_kept(findings)
    assert findings["broken-body"].counts["broken off"] == 3


@pytest.mark.parametrize(
    ("ending", "status", "body", "whole", "wrong"),
    [
        pytest.param("sized", 200, PIECE * 4, True, {}, id="whole"),
        pytest.param("sized", 200, PIECE * 3, True, {"came broken": 1}, id="cut"),
        pytest.param("sized", 502, b"problem", True, {"came broken": 1}, id="not at all"),
        pytest.param("short", 200, PIECE * 3, False, {}, id="seen to be short"),
        pytest.param("short", 200, PIECE * 3, True, {"taken for whole": 1}, id="short, and looks whole"),
        pytest.param("reset", 502, b"problem", True, {}, id="a problem document says what happened"),
    ],
)
def test_who_was_misled_is_counted(ending: Ending, status: int, body: bytes, whole: bool, wrong: object) -> None:
    finding = Finding(BROKEN_BODY)
    judge(ending, Answer(1.0, 2.0, status, {}, body, whole=whole), finding)
    assert wrongs(finding) == wrong


@pytest.mark.parametrize(
    ("ending", "outcome", "quantity", "wrong"),
    [
        ("chunked", Outcome.DELIVERED, 2, {}),
        ("chunked", Outcome.FAILED, 0, {"misrecorded": 1}),
        ("unterminated", Outcome.FAILED, 0, {}),
        ("unterminated", Outcome.FAILED, 2, {"misrecorded": 1}),
    ],
)
def test_the_record_says_how_it_ended(ending: Ending, outcome: Outcome, quantity: int, wrong: object) -> None:
    finding = Finding(BROKEN_BODY)
    answer = Answer(1.0, 2.0, 200, {"x-request-id": "r1"})
    judge_record(ending, answer, Books({"r1": [row(outcome=outcome, quantity=quantity)]}), finding)
    assert wrongs(finding) == wrong
