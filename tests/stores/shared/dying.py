"""A process that dies between two instructions of a module, without a process: it does nothing more, and nobody tidies.

The module is made anew in Python: what is compiled has no instructions to die between, and stores in the same order.
"""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType
from typing import Any

from gatewayd.stores import shared

TABLE = str(Path(shared.__path__[0], "table.py"))
QUICK = str(Path(shared.__path__[0], "quick.py"))


class Killed(BaseException):
    """A process dies and does nothing more."""


def as_written(path: str) -> Any:
    """The module in Python."""
    spec = spec_from_file_location(f"{Path(path).stem}_as_written", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def die_at(path: str, instruction: int, work: Callable[[], object]) -> bool:
    """Do the work, but stop dead before that instruction of the module; whether it came to that."""
    left = instruction

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != path:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if not left:
                raise Killed
            left -= 1
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 tells of instructions only if one was set before this
    sys.settrace(trace)
    try:
        work()
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False
