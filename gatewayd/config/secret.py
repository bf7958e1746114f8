"""Secrets are resolved when a configuration is loaded: from the environment, a file or a systemd credential."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gatewayd.config.report import suggestion
from gatewayd.config.settings import Secret
from gatewayd.config.shape import Invalid

_FORMS: Final = 'write { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }'
_LARGEST = 64 * 1024


class Missing(Invalid):
    """The variable that should hold the secret is not set."""


def resolve(raw: object, environ: Mapping[str, str]) -> Secret:
    """The secret that a string is, or that the source in a table holds, without its trailing newline.

    Raises Missing for a variable that is not set, Invalid for anything else; neither quotes the secret.
    """
    if isinstance(raw, str):
        return _filled(str(raw), "the configuration")
    if not isinstance(raw, dict):
        raise Invalid("must be a secret", _FORMS)
    if len(raw) != 1:
        raise Invalid("must name exactly one source", _FORMS)
    ((source, name),) = raw.items()
    if source not in _SOURCES:
        raise Invalid(f'"{source}" is no source of secrets', suggestion(source, _SOURCES))
    if not isinstance(name, str) or not name or "\0" in name:
        raise Invalid(f"the source {source} needs a name", _FORMS)
    return _SOURCES[source](str(name), environ)


def _from_environment(name: str, environ: Mapping[str, str]) -> Secret:
    if name not in environ:
        raise Missing(f"the variable {name} is not set", f"export {name}=…")
    return _filled(environ[name].rstrip("\r\n"), f"the variable {name}")


def _from_file(name: str, environ: Mapping[str, str]) -> Secret:
    del environ
    return _filled(_read(Path(name)), f"the file {name}")


def _from_credential(name: str, environ: Mapping[str, str]) -> Secret:
    if not (directory := environ.get("CREDENTIALS_DIRECTORY")):
        raise Invalid("there is no CREDENTIALS_DIRECTORY", f"systemd sets it: LoadCredential={name}:PATH")
    if "/" in name or name in {".", ".."}:
        raise Invalid("a credential is a name, not a path", 'for a path write { file = "PATH" }')
    path = Path(directory, name)
    try:
        path.lstat()
    except FileNotFoundError:
        hint = f"in the unit: LoadCredential={name}:PATH"
        raise Invalid(f"there is no credential {name} in {directory}", hint) from None
    except OSError:  # told when it is read
        pass
    return _filled(_read(path), f"the credential {name}")


def _read(path: Path) -> str:
    """Bytes that are not UTF-8 become surrogates, as they do in the environment (PEP 383)."""
    try:
        if path.exists() and not path.is_file():
            raise Invalid(f"{path} is not a regular file", "name the file itself")
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise Invalid(f"{path}: {reason}", "the user that runs gatewayd must be able to read it") from None
    if len(data) > _LARGEST:
        raise Invalid(f"{path} is larger than 64 KiB", "is it the right file?")
    return data.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _filled(text: str, source: str) -> Secret:
    if not text:
        raise Invalid("the secret is empty", f"it is read from {source}")
    return Secret(text, source)


_SOURCES: Final[dict[str, Callable[[str, Mapping[str, str]], Secret]]] = {
    "env": _from_environment,
    "file": _from_file,
    "credential": _from_credential,
}
