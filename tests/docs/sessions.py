"""What a reader of a document has before them: a shell, gatewayd on its path, and a daemon of the documents' own."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from gatewayd.process.control import ask
from tests.daemons import ROOT, environment

PATIENCE: Final = 60.0
SECRET: Final = "a secret that only the documents know, and nobody else"
_STARTS: Final = re.compile(r"gatewayd start\b")
_SHOWN: Final = re.compile(r"[0-9a-f]{12,}|\d[\d.,:TZ-]*")


class Session:
    """A shell in a directory of its own. Mutable: what is exported stays, and daemons run until `close`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "bin").mkdir()
        for name, command in {"gatewayd": f"exec {sys.executable} -m gatewayd"}.items():
            (directory / "bin" / name).write_text(f'#!/bin/sh\n{command} "$@"\n')
            (directory / "bin" / name).chmod(0o755)
        self.environ = environment(GATEWAYD_JWT_SECRET=SECRET, GATEWAYD_ADMIN_TOKEN=SECRET)
        self.environ["PATH"] = f"{directory / 'bin'}:{self.environ['PATH']}"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> tuple[int, str]:
        """The exit code and all that was printed; a daemon that starts is left running once it is ready."""
        if _STARTS.match(command):
            return self._start(command)
        script = f"{command}\ncode=$?\nenv -0 > {shlex.quote(str(self.directory / '.environment'))}\nexit $code"
        found = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        exported = (self.directory / ".environment").read_text().split("\0")
        self.environ = dict(each.split("=", 1) for each in exported if "=" in each)
        self._off_fixed_ports()
        return found.returncode, found.stdout

    def _start(self, command: str) -> tuple[int, str]:
        log = self.directory / "daemon.log"
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.directory,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._daemons.append(process)
        assert process.stdout is not None
        ready = process.stdout.readline().decode()
        assert ready, log.read_text()
        return 0, ready

    def _off_fixed_ports(self) -> None:
        """Several documents are tried at once, and 8080 may be somebody's."""
        for path in self.directory.rglob("*.toml"):
            text = path.read_text()
            if free := re.sub(r"127\.0\.0\.1:(?:8080|9901)", "127.0.0.1:0", text):
                path.write_text(free)

    def admin(self, state: str = "var") -> str:
        """Where operators look, as host and port."""
        place = ask(self.directory / state, "status")["admin"]
        return str(place).removeprefix("http://")

    def close(self) -> None:
        for process in self._daemons:
            process.terminate()
        for process in self._daemons:
            process.wait(PATIENCE)
            assert process.stdout is not None
            process.stdout.close()


def alike(shown: str, printed: str) -> bool:
    """Whether a line that a document shows is among those printed, but for numbers, names of requests and times."""
    lines = {_plain(line) for line in printed.splitlines()}
    return _plain(shown) in lines


def _plain(line: str) -> str:
    return " ".join(_SHOWN.sub("#", line).split())


def prepared(directory: Path) -> Session:
    """A session with the reference configuration in place, as docs/operations.md has it."""
    session = Session(directory)
    (directory / "conf").mkdir()
    text = (ROOT / "conf/gatewayd.toml").read_text()
    (directory / "conf/gatewayd.toml").write_text(re.sub(r"127\.0\.0\.1:(?:8080|9901)", "127.0.0.1:0", text))
    (directory / "copy.toml").write_text(text.replace("sqlite:var/gatewayd.db", "sqlite:copy.db"))
    (directory / "var").mkdir(mode=0o700)
    return session
