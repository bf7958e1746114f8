"""The page and the schema say the same."""

from pathlib import Path

from gatewayd.config.reference import reference
from gatewayd.config.schema import keys

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text() == reference(), "write it anew: python -m gatewayd.config.reference > docs/configuration.md"


def test_every_key_has_its_sentence_on_the_page() -> None:
    page = PAGE.read_text()
    for path, key in keys():
        assert key.help in page, path
