"""What goes over a session with the support agent: JSON both ways (a text of ours is always in an object)."""

import json

from gatewayd_sdk._core.errors import APIConnectionError, APIResponseError
from gatewayd_sdk._core.records import Mismatch
from gatewayd_sdk._core.results import SupportMessage
from gatewayd_sdk._core.websocket import Closed


def said(message: str) -> str:
    return json.dumps({"type": "message", "message": message})


def heard(message: str | bytes) -> SupportMessage:
    """Raises APIResponseError for what is none of the agent's messages."""
    try:
        return SupportMessage.read(json.loads(message))
    except (ValueError, RecursionError) as error:
        raise APIResponseError("a message of the session is not JSON") from error
    except Mismatch as error:
        raise APIResponseError(f"a message of the session is not what it must be: {error}") from error


def answer_in(message: SupportMessage) -> bool:
    """Whether it answers what was asked; raises APIResponseError if it says that what was sent cannot be used."""
    if message.type == "error":
        facts = message.error or {}
        raise APIResponseError(f"the agent refused the message: {facts.get('code')}: {facts.get('message')}")
    return message.type == "message"


def ended(closed: Closed) -> APIConnectionError:
    reason = f": {closed.reason}" if closed.reason else ""
    return APIConnectionError(f"the session is over (code {closed.code}{reason}): connect again to go on")
