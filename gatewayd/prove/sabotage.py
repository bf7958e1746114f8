"""`python -m gatewayd.prove.sabotage FAULT ARGUMENTS…`: the `gatewayd` command with a fault in it, to be found out."""

import runpy
import sys

from gatewayd.prove.faults import BY_NAME

if __name__ == "__main__":
    BY_NAME[sys.argv.pop(1)].install()
    runpy.run_module("gatewayd", run_name="__main__", alter_sys=True)
