"""Lines on their way out: in order, never waited for, and what is lost is counted."""

import asyncio
import errno
import fcntl
import logging
import os
import resource
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gatewayd import sink as sink_module
from gatewayd.outlets import StreamOutlet
from gatewayd.sink import LineSink
from tests.patience import PATIENCE


def numbered(count: int) -> list[bytes]:
    return [b'{"number":%d}\n' % number for number in range(count)]


async def until_read(fd: int, wanted: bytes) -> bytes:
    """What comes out of a pipe, up to `wanted`."""
    reader = asyncio.StreamReader(limit=1 << 22)
    pipe = os.fdopen(fd, "rb", buffering=0, closefd=False)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        async with asyncio.timeout(30):
            return await reader.readuntil(wanted)
    finally:
        transport.close()


async def test_lines_arrive_whole_and_in_order(tmp_path: Path) -> None:
    sink = LineSink(str(tmp_path / "log"))
    for line in numbered(5000):
        sink.write(line)
        if line.endswith(b"000}\n"):
            await asyncio.sleep(0)
    await sink.close()
    assert (tmp_path / "log").read_bytes() == b"".join(numbered(5000))
    assert sink.dropped == 0


async def test_lines_are_appended_to_what_is_there_and_others_cannot_read_them(tmp_path: Path) -> None:
    for line in (b"first\n", b"second\n"):
        sink = LineSink(str(tmp_path / "log"))
        sink.write(line)
        await sink.close()
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"
    assert (tmp_path / "log").stat().st_mode & 0o007 == 0


async def test_a_line_is_written_without_anybody_closing() -> None:
    reading, writing = os.pipe()
    sink = LineSink(f"/proc/self/fd/{writing}")
    sink.write(b"now\n")
    assert await until_read(reading, b"\n") == b"now\n"
    await sink.close()
    os.close(reading)
    os.close(writing)


async def test_a_sink_that_is_stuck_holds_nobody_up_and_says_what_it_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sink_module, "PATIENCE", 0.2)
    reading, writing = os.pipe()
    sink = LineSink(f"/proc/self/fd/{writing}", capacity=10)
    big = b"x" * 200_000 + b"\n"  # more than a pipe takes
    sink.write(big)
    async with asyncio.timeout(PATIENCE):
        while not sink._in_hand:  # until the thread has it in hand, and is stuck with it
            await asyncio.sleep(0)
    for line in numbered(25):
        sink.write(line)
    assert sink.dropped == 15
    with caplog.at_level(logging.WARNING):
        await sink.close()
    assert "26 lines were dropped" in caplog.text
    os.close(writing)
    while await asyncio.to_thread(os.read, reading, 65536):  # unstuck, the thread ends
        pass
    await asyncio.to_thread(sink._scribe.join)
    os.close(reading)


async def test_a_sink_that_fails_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    sink = LineSink(f"/proc/self/fd/{writing}")
    os.close(writing)
    os.close(reading)
    with caplog.at_level(logging.WARNING):
        for expected in (1, 2):
            sink.write(b"lost\n")
            async with asyncio.timeout(PATIENCE):
                while sink.dropped < expected:
                    await asyncio.sleep(0.001)
        await sink.close()
    assert caplog.text.count("cannot be written: Broken pipe") == 1
    assert "2 lines were dropped" in caplog.text


async def test_after_a_line_that_was_cut_off_the_next_begins_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = LineSink(str(tmp_path / "log"))
    real = os.write
    steps: Iterator[int | OSError] = iter([3, OSError(errno.ENOSPC, "No space left on device")])

    def full_disk(fd: int, data: memoryview) -> int:
        step = next(steps, None)
        if isinstance(step, OSError):
            raise step
        return real(fd, data[:step])

    monkeypatch.setattr(os, "write", full_disk)
    sink.write(b'{"a":1}\n')
    async with asyncio.timeout(PATIENCE):
        while not sink.dropped:
            await asyncio.sleep(0.001)
    sink.write(b'{"b":2}\n')
    await sink.close()
    assert (tmp_path / "log").read_bytes() == b'{"a\n{"b":2}\n'
    assert sink.dropped == 1


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("descriptor", [3, 1100], ids=["a low descriptor", "one that select does not know"])
@pytest.mark.usefixtures("many_descriptors")
async def test_a_sink_that_somebody_made_non_blocking_loses_nothing(descriptor: int) -> None:
    reading, writing = os.pipe()
    sink = LineSink(f"/proc/self/fd/{writing}")
    outlet = sink._outlet
    assert isinstance(outlet, StreamOutlet)
    first, outlet._fd = outlet._fd, fcntl.fcntl(outlet._fd, fcntl.F_DUPFD_CLOEXEC, descriptor)
    os.close(first)
    os.set_blocking(outlet._fd, False)
    lines = [b"%06d" % number + b"x" * 93 + b"\n" for number in range(5000)]
    for line in lines:
        sink.write(line)
    found = await until_read(reading, b"004999" + b"x" * 93 + b"\n")
    await sink.close()
    assert found == b"".join(lines)
    assert sink.dropped == 0
    os.close(reading)
    os.close(writing)


async def test_standard_output_is_written_to_and_left_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        sink = LineSink("-")
        sink.write(b"line\n")
        await sink.close()
        out.write("still open\n")
    assert (tmp_path / "out").read_text() == "line\nstill open\n"


def test_a_closed_standard_output_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="standard output is closed"):
        LineSink("-")


@pytest.mark.parametrize("target", [".", "missing/log"], ids=["a directory", "no directory"])
def test_a_path_that_cannot_be_written_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError):
        LineSink(target)


async def test_what_was_taken_before_it_is_reopened_goes_where_it_was_going(tmp_path: Path) -> None:
    sink = LineSink(str(tmp_path / "log"))
    for number, line in enumerate(numbered(30)):
        if number % 10 == 9:
            (tmp_path / "log").rename(tmp_path / f"log.{number}")
            sink.reopen()
            async with asyncio.timeout(PATIENCE):
                while not (tmp_path / "log").exists():
                    await asyncio.sleep(0)
        sink.write(line)
    await sink.close()
    found = [(tmp_path / name).read_bytes() for name in ("log.9", "log.19", "log.29", "log")]
    cuts = [0, 9, 19, 29, 30]
    assert found == [b"".join(numbered(30)[begin:end]) for begin, end in pairwise(cuts)]


async def test_closing_a_sink_that_was_never_written_to_is_quiet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await LineSink(str(tmp_path / "log")).close()
    assert not caplog.records
