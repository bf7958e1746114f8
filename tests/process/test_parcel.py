"""Settings that go to a child."""

import os
from pathlib import Path

from gatewayd.process.parcel import read_settings, settings_file
from tests.process.settings import settings


def test_what_arrives_is_what_was_sent_its_secrets_included(tmp_path: Path) -> None:
    sent = settings("max_connections = 7", tmp_path)
    fd = settings_file(sent)
    try:
        for _ in range(2):  # each worker reads it
            found = read_settings(fd)
            assert found == sent
            assert found.auth.secret is not None
            assert found.auth.secret == sent.auth.secret
            assert found.routes["a"].upstream == sent.routes["a"].upstream
    finally:
        os.close(fd)


def test_it_has_no_name_that_others_could_open_and_no_program_inherits_it() -> None:
    fd = settings_file(settings())
    assert str(Path(f"/proc/self/fd/{fd}").readlink()).endswith("(deleted)")
    assert not os.get_inheritable(fd)
    os.close(fd)
