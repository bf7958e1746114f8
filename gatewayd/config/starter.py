"""The text of a starter configuration: the platform's five agents, or what an older deployment's variables say."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gatewayd.config.addresses import upstream
from gatewayd.config.document import Document
from gatewayd.config.report import Report
from gatewayd.config.shape import Invalid
from gatewayd.errors import Problem
from gatewayd.keys import judge_secret, secret_bytes


@dataclass(frozen=True, slots=True)
class Agent:
    """One of the platform's agents: `upstream` is `base` + `mount`; `variable` gave the base in older deployments."""

    name: str
    base: str
    mount: str
    unit: str
    variable: str

    @property
    def prefix(self) -> str:
        return f"/api/{self.name}"


AGENTS: Final = (
    Agent("email", "http://127.0.0.1:8081", "/api/email", "api_calls", "EMAIL_AGENT_URL"),
    Agent("rag", "http://127.0.0.1:8082", "/api", "api_calls", "RAG_AGENT_URL"),
    Agent("scraper", "http://127.0.0.1:8083", "/api/scraper", "scraping_tasks", "SCRAPER_AGENT_URL"),
    Agent("support", "http://127.0.0.1:8084", "/api", "api_calls", "SUPPORT_AGENT_URL"),
    Agent("aiops", "http://127.0.0.1:8085", "/api/aiops", "api_calls", "AIOPS_AGENT_URL"),
)

_HEAD: Final = """\
# gatewayd: a starter configuration. Check it with `gatewayd check`; conf/gatewayd.toml shows every key.

[server]
listen = ["127.0.0.1:8080"]

[auth]
secret = {{ env = "{secret}" }}

[ledger]
url = "{ledger}"

[rate_limit]
limits = ["{per_minute}/minute", "{per_hour}/hour"]

[plans.free]
default = true
quota = {{ api_calls = 100, scraping_tasks = 10, tokens = 10_000 }}
"""

_ROUTE: Final = """
[routes.{name}]
prefix = "{prefix}"
upstream = {upstream}
usage = {{ unit = "{unit}", cost = 1 }}
timeouts = {{ first_byte = "{first_byte}" }}
"""


class Starter(NamedTuple):
    """TOML, and what its author has to mend in variables that it only names."""

    text: str
    warnings: tuple[Problem, ...] = ()


def from_environment(environ: Mapping[str, str]) -> Starter:
    """TOML for the five agents that keeps what an older deployment's variables said; what is not set takes its default.

    Secrets and the database's URL stay in their variables: what is wrong with those is a warning, since the file that
    names them is right as it is. Raises ConfigError with every variable that cannot be kept, `environment` standing
    for the file.
    """
    report = Report(Document(("the environment",), {}, {}))
    old = _Variables(environ, report)
    text = _HEAD.format(
        secret=old.secret(),
        ledger=old.ledger(),
        per_minute=old.count("RATE_LIMIT_PER_MINUTE", 60),
        per_hour=old.count("RATE_LIMIT_PER_HOUR", 1000),
    )
    text += "".join(old.routes())
    report.raise_problems()
    return Starter(text, report.warnings)


class _Variables:
    """The older deployment's variables; an empty one is as good as none, as it was there."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report

    def secret(self) -> str:
        if not (value := self._environ.get("SECRET_KEY")):
            return "GATEWAYD_JWT_SECRET"
        if fault := judge_secret("HS256", secret_bytes(value.rstrip("\r\n"))):
            self._report.warning(("SECRET_KEY",), fault, "openssl rand -base64 64 makes a good one")
        return "SECRET_KEY"

    def ledger(self) -> str:
        """SQLite files and other databases of the older deployment hold nothing that a ledger could use."""
        scheme = self._environ.get("DATABASE_URL", "").partition("://")[0]
        if scheme.startswith("postgres"):
            if scheme != "postgresql":
                self._report.warning(("DATABASE_URL",), "is of another form", "begin it with postgresql://")
            return "${DATABASE_URL}"
        return "sqlite:var/gatewayd.db"

    def count(self, variable: str, default: int) -> int:
        text = self._environ.get(variable, "").strip() or str(default)
        if not re.fullmatch(r"0*[1-9][0-9]{0,14}", text, re.ASCII):
            self._report.problem((variable,), "must be a whole number of at least 1")
            return default
        return int(text)

    def routes(self) -> Iterator[str]:
        first_byte = self._first_byte()
        for agent in AGENTS:
            target = json.dumps(self._upstream(agent))
            yield _ROUTE.format(
                name=agent.name, prefix=agent.prefix, upstream=target, unit=agent.unit, first_byte=first_byte
            )

    def _upstream(self, agent: Agent) -> str:
        """The variable held the agent's address in some deployments, and its whole base URL in others."""
        base = self._environ.get(agent.variable) or agent.base
        try:
            given = upstream(base)
        except Invalid as error:
            self._report.problem((agent.variable,), error.message, error.hint)
            return agent.base + agent.mount
        return given if given.endswith(agent.mount) else given + agent.mount

    def _first_byte(self) -> str:
        text = self._environ.get("REQUEST_TIMEOUT", "").strip() or "30"
        found = re.fullmatch(r"([0-9]{1,7})(?:\.([0-9]{1,3})0*)?", text, re.ASCII)
        milliseconds = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0")) if found else 0
        if not milliseconds:
            self._report.problem(("REQUEST_TIMEOUT",), "must be a number of seconds above 0")
        return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
