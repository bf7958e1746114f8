"""What users are told to try works, word for word."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gatewayd.demo.agents import AGENTS, running_agents
from gatewayd.demo.samples import HANDBOOK, Sample, data_file, samples

GATEWAY = "http://127.0.0.1:8080"


@dataclass
class CurlCall:
    """What curl would send for a line."""

    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | aiohttp.FormData | None = None

    @classmethod
    def of(cls, line: str) -> "CurlCall":
        call, words = cls(), iter(shlex.split(line)[1:])
        for word in words:
            call.take(word, words)
        return call

    def take(self, word: str, words: Iterator[str]) -> None:
        if word == "-X":
            self.method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            self.headers[name] = value
        elif word in ("-d", "--data-binary"):
            word = next(words)
            self.body = Path(word[1:]).read_bytes() if word.startswith("@") else word.encode()
        elif word == "-F":
            self.body = self.form(next(words))
        elif not word.startswith("-"):
            self.url = word

    @staticmethod
    def form(text: str) -> aiohttp.FormData:
        name, _, path = text.partition("=@")
        form = aiohttp.FormData()
        form.add_field(name, Path(path).read_bytes(), filename=Path(path).name)
        return form


async def test_every_sample_works_as_its_line_says() -> None:
    prefixes = {agent.name: agent.prefix for agent in AGENTS}
    async with (
        running_agents({agent.name: 0 for agent in AGENTS}) as upstreams,
        aiohttp.ClientSession() as session,
    ):
        for sample in samples(URL(upstreams["scraper"]).port):
            call = CurlCall.of(sample.curl(GATEWAY))
            assert "\n" not in sample.curl(GATEWAY)
            assert call.headers["Authorization"] == "Bearer $TOKEN"
            url = call.url.replace(GATEWAY + prefixes[sample.agent], upstreams[sample.agent], 1)
            async with session.request(call.method, url, headers=call.headers, data=call.body) as response:
                text = await response.text()
                assert response.status in (200, 201), f"{sample.description}: {text}"
                assert (response.content_type == "text/event-stream") is sample.streams


async def test_the_samples_show_something() -> None:
    async with (
        running_agents({agent.name: 0 for agent in AGENTS}) as upstreams,
        aiohttp.ClientSession() as session,
    ):
        form = aiohttp.FormData()
        form.add_field("file", data_file(HANDBOOK).read_bytes(), filename=HANDBOOK)
        await session.post(f"{upstreams['rag']}/documents/upload", data=form)
        question = next(sample for sample in samples() if sample.path.endswith("/chat")).document
        async with session.post(f"{upstreams['rag']}/chat", json=question) as response:
            answer = (await response.json())["answer"]
    assert "402" in answer
    assert "first moment of the next month" in answer


@pytest.mark.parametrize("agent", [agent.name for agent in AGENTS])
def test_each_agent_has_a_sample(agent: str) -> None:
    prefix = next(each.prefix for each in AGENTS if each.name == agent)
    assert all(sample.path.startswith(f"{prefix}/") for sample in samples() if sample.agent == agent)
    assert any(sample.agent == agent for sample in samples())


def test_a_line_is_quoted_for_the_shell() -> None:
    sample = Sample("a", "d", "POST", "/api/a?x=1&y=2", {"X": "it's $HOME"}, document={"k": "`id` ä"}, streams=True)
    line = sample.curl("http://127.0.0.1:8080/", "T")
    assert line.startswith('curl -N -sS -H "Authorization: Bearer $T" -X POST -H ')
    assert shlex.split(line)[4:] == [
        "Authorization: Bearer $T",
        "-X",
        "POST",
        "-H",
        "X: it's $HOME",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"k": "`id` ä"}',
        "http://127.0.0.1:8080/api/a?x=1&y=2",
    ]


def test_the_usual_port_is_the_contracts() -> None:
    assert any("http://127.0.0.1:8083/api/scraper/demo-site/" in sample.curl(GATEWAY) for sample in samples())
