"""Spans are an extra: who does not ask for them pays nothing, and who asks in vain is told what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd.errors import StartError
from tests.gateways import PLANS, running_gateway

ON = PLANS + "[tracing]\nspans = true\n"
ASK = "import sys, gatewayd.cli; print('gatewayd.spans' in sys.modules)"


def test_what_makes_spans_is_not_loaded_before_somebody_asks_for_them() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert asked.stdout == "False\n"


async def test_spans_without_opentelemetry_are_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "gatewayd.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(StartError, match=r"pip install 'gatewayd\[otel\]'"):
        async with running_gateway(tmp_path, "http://127.0.0.1:9", general=ON):
            pass
