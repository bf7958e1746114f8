"""What a module's file says, whichever build of it runs: a compiled one has neither a text nor signatures to show."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def source_of(name: str) -> str:
    """The text of a module of ours."""
    return (ROOT / f"{name.replace('.', '/')}.py").read_text()


def parameters(name: str, kind: str, method: str) -> list[str]:
    """The names of a method's parameters, in order."""
    (found,) = (
        node
        for each in ast.parse(source_of(name)).body
        if isinstance(each, ast.ClassDef) and each.name == kind
        for node in each.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == method
    )
    return [each.arg for each in found.args.args]
