"""Limits are a process's own, so each case is one."""

import subprocess
import sys

import pytest

from tests.daemons import ROOT

TRY = """
import logging, resource, sys
from gatewayd.process.files import allow_connections
logging.basicConfig(format="%(message)s")
soft, hard, most = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_connections(most)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "most", "after", "warned"),
    [
        pytest.param(300, 400, 100, "300 400", False, id="enough already"),
        pytest.param(200, 400, 100, "264 400", False, id="raised to what callers and agents need"),
        pytest.param(100, 200, 100, "200 200", False, id="raised as far as it goes, callers fit"),
        pytest.param(50, 90, 100, "90 90", True, id="raised as far as it goes, callers do not fit"),
    ],
)
def test_as_many_files_may_be_open_as_connections_need(
    soft: int, hard: int, most: int, after: str, warned: bool
) -> None:
    command = [sys.executable, "-c", TRY, str(soft), str(hard), str(most)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == after
    assert ("only 90 files may be open, fewer than server.max_connections" in found.stderr) is warned
