"""Each example is run as it is, against a real gateway and the demo agents."""

import ast
import asyncio
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.bench.plane.processes import free_port
from tests.sdk.gates import gate

EXAMPLES = Path(__file__).parents[2] / "sdk" / "examples"
PATIENCE = 30.0


def environment(url: str, token: str = "") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAYD")}
    return {**kept, "GATEWAYD_BASE_URL": url, "GATEWAYD_TOKEN": token, "PYTHONUNBUFFERED": "1"}


async def started(*arguments: str, environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )


async def test_the_script_sorts_letters(tmp_path: Path) -> None:
    async with gate(tmp_path) as (gateway, _), asyncio.timeout(PATIENCE):
        process = await started(str(EXAMPLES / "script.py"), environ=environment(gateway.url, gateway.token()))
        out, err = await process.communicate()
        assert (process.returncode, err.decode()) == (0, "")
        assert "Invoice: billing, high, negative" in out.decode()
        assert "so far: Invoice" in out.decode()
        assert re.search(r"api_calls: \d+ spent", out.decode())
        refused = await started(str(EXAMPLES / "script.py"), environ=environment(gateway.url))
        out, err = await refused.communicate()
    assert (refused.returncode, out) == (1, b"")
    assert err.startswith(b"401 token_missing")
    assert b"Traceback" not in err


async def run_cell(source: str, names: dict[str, Any]) -> None:
    """As a notebook does: with `await` wherever it stands."""
    code = compile(source, "notebook.ipynb", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(code, names)
    if inspect.isawaitable(waiting):
        await waiting


async def test_the_notebooks_cells_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text())["cells"]
    names: dict[str, Any] = {"__name__": "__main__"}
    async with gate(tmp_path) as (gateway, _):
        monkeypatch.setenv("GATEWAYD_BASE_URL", gateway.url)
        monkeypatch.setenv("GATEWAYD_TOKEN", gateway.token())
        for cell in cells:
            if cell["cell_type"] == "code":
                await run_cell("".join(cell["source"]), names)
    assert names["document"].title == "Handbook"
    assert "number of units" in names["stream"].text
    assert names["answers"][1].reply
    assert names["diagnosis"].status == "critical"
    assert names["spent"]["api_calls"] >= 4
    assert "number of units" in capsys.readouterr().out


async def test_the_web_worker_asks_in_each_visitors_name(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with gate(tmp_path) as (gateway, _), asyncio.timeout(PATIENCE):
        worker = await started(str(EXAMPLES / "web_worker.py"), str(port), environ=environment(gateway.url))
        try:
            assert worker.stdout is not None
            assert b"Running on" in await worker.stdout.readline()
            async with aiohttp.ClientSession(url, headers=gateway.bearer("ann")) as ann:
                text = b"Leases are given back when they are idle. " * 100
                async with ann.post("/documents", params={"name": "a.txt"}, data=text) as response:
                    assert response.status == 201
                async with ann.get("/ask", params={"question": "leases"}) as response:
                    assert "Leases are given back" in await response.text()
            async with aiohttp.ClientSession(url) as nobody, nobody.get("/ask?question=x") as response:
                assert (response.status, (await response.json())["error"]) == (401, "token_missing")
            records = await gateway.records_when(2)
        finally:
            worker.terminate()
            _, err = await worker.communicate()
    assert {record["user_id"] for record in records} == {"ann"}
    assert err == b""
