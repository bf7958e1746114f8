"""The aiops agent over HTTP."""

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.aiops import create_app

SPIKE = [10, 11, 9, 10, 99, 9, 10, 11]


async def test_metrics_are_analysed(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    points = [{"t": f"2025-11-24T16:0{minute}:00Z", "v": value} for minute, value in enumerate(SPIKE)]
    response = await client.post("/api/aiops/analyze", json={"metrics": {"cpu": points}, "sensitivity": 2})
    found = await response.json()
    assert (response.status, found["status"]) == (200, "critical")
    assert found["metrics"]["cpu"]["anomalies"][0]["time"] == 1_764_000_240


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no metrics"),
        pytest.param(b'{"metrics": {"a": [1, NaN, 3]}}', id="NaN"),
        pytest.param(b'{"metrics": {"a": [1, 1e999, 3]}}', id="past every float"),
        pytest.param(b'{"metrics": {"a": [1, 1' + b"0" * 400 + b", 3]}}", id="huge"),
        pytest.param(b'{"metrics": {"a": [1, 2, 3]}, "sensitivity": 0}', id="no sensitivity"),
        pytest.param(b'{"metrics": {"a": [1, 2, 3]}, "sensitivity": "high"}', id="sensitivity a text"),
    ],
)
async def test_bad_metrics_are_refused(aiohttp_client: AiohttpClient, body: bytes) -> None:
    client = await aiohttp_client(create_app())
    response = await client.post("/api/aiops/analyze", data=body)
    assert response.status == 400
    assert set((await response.json())["error"]) == {"code", "message"}


async def test_numbers_at_the_edge_are_analysed(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(create_app())
    metrics = {"large": [1e15, -1e15, 0], "small": [5e-324, 0, 1e-99], "flat": [0.1] * 9}
    response = await client.post("/api/aiops/analyze", json={"metrics": metrics, "sensitivity": 10})
    assert response.status == 200
