"""What a line of the access log says."""

import json
from typing import Any

from gatewayd.exchange import Exchange
from gatewayd.policies.log_line import line


def logged(exchange: Exchange) -> dict[str, Any]:
    text = line(exchange)
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    document: dict[str, Any] = json.loads(text)
    return document
