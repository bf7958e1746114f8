"""What the documents say is there, is there; what is there, they say."""

import re
from pathlib import Path

import pytest

from gatewayd.cli import main
from gatewayd.config.loading import parse
from gatewayd.metrics import Tally
from gatewayd.policies import POLICIES

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
README = (ROOT / "README.md").read_text()
CONTRACT = (ROOT / "docs/contract.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_contract_and_has_an_example(command: str) -> None:
    assert f"`{command}" in CONTRACT
    assert main.commands[command].epilog is not None
    assert f"gatewayd {command}" in str(main.commands[command].epilog)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_every_policy_is_in_the_design(policy: object) -> None:
    assert f"**{policy.name}**" in (ROOT / "docs/design.md").read_text()  # type: ignore[attr-defined]


def test_every_make_target_that_readme_names_exists() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"\bmake ([a-z]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= set(targets)


def test_every_metric_made_is_named_in_the_contract() -> None:
    made = {family.name for family in Tally().collect()}
    for name in made:
        assert name in CONTRACT, name


@pytest.mark.parametrize("key", re.findall(r"^\[([a-z_.]+)\]", CONTRACT, re.MULTILINE))
def test_every_section_of_the_contract_is_in_the_reference_file(key: str) -> None:
    assert f"[{key}]" in (ROOT / "conf/gatewayd.toml").read_text()


def test_the_contracts_own_configuration_loads_but_for_what_it_elides() -> None:
    """The listing shows an elided certificate and an identity provider; all else of it must be accepted."""
    listing = re.search(r"```toml\n(.*?)```", CONTRACT, re.DOTALL)
    assert listing is not None
    kept = [line for line in listing[1].splitlines() if not line.startswith(("tls", "jwks_url"))]
    environ = {"GATEWAYD_JWT_SECRET": "x" * 48, "GATEWAYD_ADMIN_TOKEN": "y" * 48}
    settings = parse("\n".join(kept), "contract.toml", environ).settings
    assert settings.routes["email"].rate_limit[0].limit == 30
    assert settings.plans["free"].quota == {"api_calls": 100, "scraping_tasks": 10, "tokens": 10_000}


def test_no_document_names_a_path_of_somebodys_machine() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users)/", document.read_text()), document.name
