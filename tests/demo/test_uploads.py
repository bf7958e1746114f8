"""Forms are read as they arrive, and never past their limit."""

from dataclasses import asdict

import pytest
from aiohttp import FormData, web
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.api import answer, application
from gatewayd.demo.uploads import read_upload


async def upload(request: web.Request) -> web.Response:
    found = await read_upload(request, 1_000)
    return answer({**asdict(found), "data": found.data.decode()})


def make_app() -> web.Application:
    return application("sample", "", [("POST", "/upload", upload)])


def part(name: str, body: str, head: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n{body}\r\n'


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


async def test_a_file_comes_with_its_type_its_name_and_a_title(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    form = FormData()
    form.add_field("title", " The title ")
    form.add_field("file", b"text", filename="a.md", content_type="text/markdown; charset=utf-8")
    form.add_field("other", "dropped")
    response = await client.post("/upload", data=form)
    assert await response.json() == {
        "data": "text",
        "content_type": "text/markdown",
        "filename": "a.md",
        "title": "The title",
    }


@pytest.mark.parametrize(
    ("head", "title"), [('; filename="a.md"', "a.md"), ("", "untitled")], ids=["file name", "neither"]
)
async def test_a_file_without_a_title_is_named_after_itself(
    aiohttp_client: AiohttpClient, head: str, title: str
) -> None:
    client = await aiohttp_client(make_app())
    response = await client.post("/upload", data=part("file", "x", head) + "--b--\r\n", headers=FORM)
    assert (await response.json())["title"] == title


async def test_of_two_files_the_first_counts(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    body = part("file", "first") + part("file", "second") + "--b--\r\n"
    assert (await (await client.post("/upload", data=body, headers=FORM)).json())["data"] == "first"


NESTED = '--b\r\nContent-Type: multipart/mixed; boundary=c\r\nContent-Disposition: form-data; name="file"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        pytest.param("{}", "application/json", 415, "unsupported_type", id="JSON"),
        pytest.param("x", "multipart/form-data", 400, "invalid_form", id="no boundary"),
        pytest.param("x", "multipart/form-data; boundary=b", 400, "invalid_form", id="no form"),
        pytest.param(part("file", "cut off").rstrip(), FORM["Content-Type"], 400, "invalid_form", id="cut off"),
        pytest.param("", FORM["Content-Type"], 400, "invalid_form", id="nothing"),
        pytest.param("--b--\r\n", FORM["Content-Type"], 400, "file_missing", id="no parts"),
        pytest.param(part("title", "t") + "--b--\r\n", FORM["Content-Type"], 400, "file_missing", id="no file"),
        pytest.param(
            part("a", "") * 9 + part("file", "x") + "--b--\r\n",
            FORM["Content-Type"],
            400,
            "invalid_form",
            id="many",
        ),
        pytest.param(
            NESTED + "--c\r\n\r\nx\r\n--c--\r\n--b--\r\n",
            FORM["Content-Type"],
            400,
            "invalid_form",
            id="nested",
        ),
        pytest.param(
            part("file", "x" * 1_001) + "--b--\r\n",
            FORM["Content-Type"],
            413,
            "body_too_large",
            id="file too large",
        ),
        pytest.param(
            part("title", "x" * 1_001) + "--b--\r\n",
            FORM["Content-Type"],
            413,
            "body_too_large",
            id="title too large",
        ),
    ],
)
async def test_bad_forms_are_refused(
    aiohttp_client: AiohttpClient, body: str, content_type: str, status: int, code: str
) -> None:
    client = await aiohttp_client(make_app())
    response = await client.post("/upload", data=body.encode(), headers={"Content-Type": content_type})
    assert (response.status, (await response.json())["error"]["code"]) == (status, code)
