"""Whether the TLS files are there, readable, and belong together."""

import ssl
from pathlib import Path

from gatewayd.config.document import KeyPath
from gatewayd.config.report import Report
from gatewayd.config.settings import AgentTls, RouteSettings, Settings, Tls


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


def check_agents_tls(settings: Settings, report: Report) -> None:
    """So is a connection to an agent that could never be made."""
    for name, route in settings.routes.items():
        path: KeyPath = ("routes", name, "tls")
        if route.tls is not None and report.sound(path, ("routes", name, "upstream")):
            _check_agent(path, route, route.tls, report)
    auth: KeyPath = ("auth",)
    named = {(*auth, "issuers", name): issuer for name, issuer in settings.auth.issuers.items()}
    for at, issuer in {auth: settings.auth, **named}.items():
        if issuer.jwks.ca is not None and report.sound((*at, "jwks")):
            _check_authorities((*at, "jwks", "ca"), issuer.jwks.ca, report)


def _check_agent(path: KeyPath, route: RouteSettings, tls: AgentTls, report: Report) -> None:
    if all(url.startswith("http://") for url in route.upstream):
        report.problem(path, "is for agents whose URL begins with https")
    if tls.ca is not None:
        _check_authorities((*path, "ca"), tls.ca, report)
    if tls.certificate is None or tls.key is None:
        if tls.certificate is not tls.key:
            report.problem(path, "certificate and key belong together", "give both, or neither")
        return
    faults = {"certificate": _unreadable(tls.certificate), "key": _unreadable(tls.key)}
    for name, fault in faults.items():
        if fault:
            report.problem((*path, name), fault, "relative paths are from the working directory")
    if not any(faults.values()) and (mismatch := _unfit(Tls(tls.certificate, tls.key))):
        report.problem(path, mismatch, "both in PEM, the key not encrypted, the certificate's own first in its file")


def _check_authorities(path: KeyPath, file: Path, report: Report) -> None:
    if fault := _unreadable(file):
        report.problem(path, fault, "relative paths are from the working directory")
        return
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        report.problem(path, "has no certificate of an authority", "PEM: -----BEGIN CERTIFICATE-----")


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
