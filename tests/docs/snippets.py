"""The fenced blocks of README and docs: what kind each is, and where it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "sdk/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
_FENCE: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block; `language` is empty for pictures and for what a program says."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command of a console block, and the lines that it is said to print."""
        found: list[tuple[str, list[str]]] = []
        for each in self.text.splitlines():
            if each.startswith("$ "):
                found.append((re.sub(r"\s+# .*", "", each[2:]), []))
            elif found and each.strip():
                found[-1][1].append(each)
        return found


def snippets(*languages: str) -> list[Snippet]:
    """All blocks in these languages, or all there are."""
    return [each for path in DOCUMENTS for each in _of(path) if not languages or each.language in languages]


def _of(path: Path) -> Iterator[Snippet]:
    text = path.read_text()
    for match in _FENCE.finditer(text):
        yield Snippet(str(path.relative_to(ROOT)), text.count("\n", 0, match.start()) + 1, match[1], match[2])
