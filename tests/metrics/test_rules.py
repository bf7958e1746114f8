"""The alert rules as Prometheus' own tool sees them, where it is installed; how they fire is in alerts_test.yml."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "conf/alerts/gatewayd.yml"
CASES = Path(__file__).parent / "alerts_test.yml"
EVERY = 15.0  # the evaluation interval of the cases, in seconds


def alerts(text: str) -> list[str]:
    return [line.split(": ", 1)[1] for line in map(str.strip, text.splitlines()) if line.startswith("- alert: ")]


def test_every_rule_says_how_grave_it_is_and_what_to_do() -> None:
    text = RULES.read_text()
    count = len(alerts(text))
    assert count >= 10
    assert text.count("severity: page") + text.count("severity: ticket") == count
    assert text.count("summary: ") == text.count("action: ") == count


def test_every_rule_has_a_case_in_which_it_fires() -> None:
    cases = CASES.read_text()
    assert {name for name in alerts(RULES.read_text()) if f"alertname: {name}\n" not in cases} == set()


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:  # only what the tool itself says is left out; CI has it
        return subprocess.CompletedProcess(words, 0, "not installed", "")
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "words", [("check", "rules", RULES), ("test", "rules", CASES)], ids=["they parse", "they fire"]
)
def test_promtool_accepts_the_rules(words: tuple[str | Path, ...]) -> None:
    found = promtool(*words)
    assert found.returncode == 0, found.stdout + found.stderr
