"""Compiles ahead of time what every request goes through, where that can be done; `setup.cfg` says all the rest.

GATEWAYD_COMPILE=0 leaves everything the Python that it is; so does `auto`, the default, where there is no C compiler or
it fails, and says why. With 1 that is an error. An editable install is never compiled: it must do what its files say.

pip asks this file as its build backend (PEP 517): what a build needs depends on whether it compiles.
"""

import os
import shlex
import shutil
import sys
import sysconfig
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from setuptools import build_meta, setup
from setuptools.build_meta import *  # noqa: F403  # every other hook is its own
from setuptools.command.build_ext import build_ext

CHOICE = os.environ.get("GATEWAYD_COMPILE", "auto")
COMPILER = "mypy>=2.4.1,<2.5"
CONFIG = ConfigParser(interpolation=None)
CONFIG.read(Path(__file__).with_name("setup.cfg"))


def modules() -> list[str]:
    """The files that are compiled, as setup.cfg lists their modules."""
    return [f"{name.replace('.', '/')}.py" for name in CONFIG["gatewayd:compiled"]["modules"].split()]


def obstacle() -> str | None:
    """Why nothing can be compiled, or shall be; None if it can."""
    if CHOICE == "0":
        return "GATEWAYD_COMPILE=0"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "the headers of this Python are not installed (on Debian: python3-dev)"
    return None


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """The compiler, and the libraries whose types it must know."""
    needed = list(build_meta.get_requires_for_build_wheel(config_settings))
    if obstacle() is None:
        needed += [COMPILER, *CONFIG["options"]["install_requires"].split("\n")]
    return list(filter(None, needed))


def give_up(why: str) -> None:
    """Go on in pure Python, unless it was asked for more."""
    if CHOICE == "1":
        sys.exit(f"gatewayd cannot be compiled: {why}")
    print(f"gatewayd is built as pure Python: {why}", file=sys.stderr)


def extensions() -> list[Any]:
    """What there is to compile, which is nothing where it cannot be."""
    if (why := obstacle()) is not None:
        give_up(why)
        return []
    try:
        from mypyc.build import mypycify

        options = ["--config-file=setup.cfg", "--no-warn-unused-ignores", *modules()]
        found = mypycify(options, debug_level="0", group_name="gatewayd")
    except ImportError:
        give_up("mypyc is not installed (pip install mypy)")
        return []
    except SystemExit:
        give_up("mypyc refused it, and said why above")
        return []
    for each in found:  # what some C compiler warns of is no reason not to have it
        each.extra_compile_args = [flag for flag in each.extra_compile_args if flag != "-Werror"]
        # Nobody puts functions of his own in the place of these, so they may call each other without a detour.
        each.extra_compile_args.append("-fno-semantic-interposition")
    return found


class AllOrNothing(build_ext):
    """The modules are one library: with a part of it missing, none of them could be imported."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            for path in self.get_outputs():
                with suppress(OSError):
                    Path(path).unlink()
            self.extensions = []
            give_up(f"the C compiler failed: {error}")


if __name__ == "__main__":
    compiles = {"build_ext", "bdist_wheel"} & set(sys.argv)
    setup(ext_modules=extensions() if compiles else [], cmdclass={"build_ext": AllOrNothing})
