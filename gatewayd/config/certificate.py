"""Whether the TLS files are there, readable, and belong together."""

import ssl
from pathlib import Path

from gatewayd.config.document import KeyPath
from gatewayd.config.report import Report
from gatewayd.config.settings import Settings, Tls


def check_tls(settings: Settings, report: Report) -> None:
    """A listener that would fail at its first handshake is a problem now."""
    path: KeyPath = ("server", "tls")
    tls = settings.server.tls
    if tls is None or not report.sound(path):
        return
    faults = {"certificate": _unreadable(tls.certificate), "key": _unreadable(tls.key)}
    for name, fault in faults.items():
        if fault:
            report.problem((*path, name), fault, "relative paths are from the working directory")
    if not any(faults.values()) and (mismatch := _unfit(tls)):
        report.problem(path, mismatch, "both in PEM, the key not encrypted, the certificate's own first in its file")


def _unreadable(path: Path) -> str | None:
    try:
        path.read_bytes()
    except OSError as error:
        return f"{path}: {(error.strerror or 'cannot be read').lower()}"
    return None


def _unfit(tls: Tls) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        return "the key is not the certificate's" if mismatch else "is not a certificate with its key"
    return None
