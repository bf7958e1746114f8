import subprocess
import sys

from gatewayd import __version__
from gatewayd.build import BUILD
from tests.daemons import PATIENCE, environment


def test_it_is_the_gatewayd_command_with_a_fault_in_it() -> None:
    command = [sys.executable, "-m", "gatewayd.prove.sabotage", "long-wait", "--version"]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"gatewayd, version {__version__} ({BUILD})\n", "")


def test_what_serves_callers_never_loads_a_fault() -> None:
    program = "import sys, gatewayd.process.supervisor; sys.exit(any('prove' in name for name in sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", program], env=environment(), timeout=PATIENCE, check=False).returncode
        == 0
    )
