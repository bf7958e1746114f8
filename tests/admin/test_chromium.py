"""Where there is no browser to try the page in, the tests say how to get one."""

from pathlib import Path

import pytest

from tests.admin.chromium import executable


def test_where_there_is_no_browser_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(AssertionError, match="apt-get install chromium"):
        executable(str(tmp_path / "nothing"))
    monkeypatch.setenv("CHROMIUM", "/opt/browser")
    assert executable() == "/opt/browser"
