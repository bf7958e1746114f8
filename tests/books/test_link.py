"""A worker's line: made again whenever it breaks, and a question has an answer or an error."""

import asyncio
from pathlib import Path

import pytest

from gatewayd.books.link import Link
from gatewayd.books.messages import Message, Messenger
from gatewayd.errors import StoreUnavailable


def nothing(_: object) -> None:
    """What is heard matters to nobody here."""


async def test_a_question_to_nobody_fails_at_once(tmp_path: Path) -> None:
    link = Link(tmp_path / "books.sock", nothing, lambda: None, lambda: None)
    with pytest.raises(StoreUnavailable):
        await link.ask("ship")
    link.say("lost")
    await link.close()


async def test_a_line_that_broke_is_made_again_and_greets_again(tmp_path: Path) -> None:
    greeted: asyncio.Queue[bool] = asyncio.Queue()
    ends: list[Messenger] = []

    def hear(messenger: Messenger, message: Message) -> None:
        ends.append(messenger)
        match message:
            case ["ask", number, "good"]:
                messenger.say("answer", number, 7)
            case ["ask", number, "bad"]:
                messenger.say("unanswered", number)
            case ["ask", _, "cut"]:
                messenger.hang_up()

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Messenger(hear, nothing), str(tmp_path / "books.sock"))
    link = Link(tmp_path / "books.sock", nothing, lambda: greeted.put_nowait(True), lambda: None)
    await link.start(5.0)
    assert await greeted.get()
    assert await link.ask("good") == 7
    for words in ("bad", "cut"):
        with pytest.raises(StoreUnavailable):
            await link.ask(words)
    assert await greeted.get()
    assert link.up
    assert await link.ask("good") == 7
    await link.close()
    server.close()


async def test_what_is_to_be_done_before_is_done_before_anything_is_said(tmp_path: Path) -> None:
    log: list[object] = []
    heard = asyncio.Event()

    def hear(_: Messenger, message: Message) -> None:
        log.append(message)
        heard.set()

    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Messenger(hear, nothing), str(tmp_path / "books.sock"))
    link = Link(tmp_path / "books.sock", nothing, lambda: None, lambda: log.append("before"))
    await link.start(5.0)
    link.say("grown")
    await heard.wait()
    assert log == ["before", ["grown"]]
    await link.close()
    server.close()
