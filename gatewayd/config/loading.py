"""The way in: files or texts → Loaded, or ConfigError with every problem. Start, check and reload all come here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewayd.config.checks import check
from gatewayd.config.convert import Converter
from gatewayd.config.document import Document, Source
from gatewayd.config.interpolation import interpolate
from gatewayd.config.reader import parse_sources, read_sources
from gatewayd.config.report import Report
from gatewayd.config.schema import ROOT
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError, Problem

Judge = Callable[[Settings, Report], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be put in force. `sources` are the texts it was made of, to be sent to workers."""

    settings: Settings
    warnings: tuple[Problem, ...]
    sources: tuple[Source, ...]


def load(path: Path, environ: Mapping[str, str], judges: Sequence[Judge] = ()) -> Loaded:
    """Read the file, and `conf.d/*.toml` beside it, and judge all of it; `judges` know what the schema cannot.

    Raises ConfigError with every problem: of files and syntax first, and if there are none, of keys and values.
    """
    return parse_all(read_sources(path), environ, judges)


def load_for(needed: Sequence[str], path: Path, environ: Mapping[str, str]) -> Settings:
    """For commands that read some keys only, and must work while others are broken or their secrets unknown.

    `needed` names keys or tables. Raises ConfigError with the problems of these alone; what else is wrong has its
    default, a secret that cannot be had is empty.
    """
    document, report = _interpolated(read_sources(path), environ)
    converter = Converter(report, environ, document.from_environment, secrets_needed=False)
    settings: Settings = converter.table(ROOT, document.values, ())
    if told := [problem for problem in report.problems if problem.key.startswith(tuple(needed))]:
        raise ConfigError(told)
    return settings


def parse(text: str, file: str, environ: Mapping[str, str]) -> Loaded:
    """Judge one text; `file` is for messages, and its suffix says INI (.ini, .cfg) or TOML. Raises ConfigError."""
    return parse_all((Source(file, text),), environ)


def parse_all(sources: Sequence[Source], environ: Mapping[str, str], judges: Sequence[Judge] = ()) -> Loaded:
    """Judge texts that were read before: the first is the file itself, the others are merged into it.

    Reads the files that secrets and TLS name, and nothing else. Raises ConfigError.
    """
    document, report = _interpolated(sources, environ)
    converter = Converter(report, environ, document.from_environment)
    settings: Settings = converter.table(ROOT, document.values, ())
    for judge in (check, *judges):
        judge(settings, report)
    report.raise_problems()
    return Loaded(settings, report.warnings, tuple(sources))


def _interpolated(sources: Sequence[Source], environ: Mapping[str, str]) -> tuple[Document, Report]:
    document = parse_sources(sources)
    report = Report(document)
    return interpolate(document, environ, report), report
