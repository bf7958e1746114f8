"""An answer as it came, and what to think of it: a document, or the error that says what to do."""

import json
from dataclasses import dataclass
from typing import Final

from gatewayd_sdk._core.errors import CLASSES, APIResponseError, APIStatusError
from gatewayd_sdk._core.headers import Headers
from gatewayd_sdk._core.limits import date_in, retry_after_in

MOST_OF_AN_ERROR: Final = 1024 * 1024
"""Bytes that are read of an answer that is an error and came in place of a stream."""
_decode: Final = json.JSONDecoder().decode
_MOST_SHOWN: Final = 200
_CLOCK_TOLERANCE: Final = 30.0
_WRONG_ADDRESS: Final = "is the base URL that of a gatewayd, and no login page or proxy in between?"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: status, header fields, and the body unless it is streamed."""

    status: int
    headers: Headers
    body: bytes = b""

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def kind(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def document(self) -> object:
        """The body as JSON; raises `APIResponseError` that says what came instead."""
        try:
            return _decode(self.body.decode())
        except (ValueError, RecursionError) as error:
            raise response_error(
                f"the answer ({self.status}) is not JSON but {len(self.body)} bytes of {self.kind or 'no type'}: "
                f"{_WRONG_ADDRESS}",
                self,
            ) from error

    def members(self) -> dict[str, object]:
        """The body as a JSON object; raises `APIResponseError` for anything else."""
        document = self.document()
        if not isinstance(document, dict):
            raise response_error(f"the answer is JSON, but a {type(document).__name__} and no object", self)
        return document


def response_error(message: str, answer: Answer) -> APIResponseError:
    error = APIResponseError(message + _named(answer.request_id))
    error.request_id = answer.request_id
    return error


def _named(request_id: str | None) -> str:
    return f" (request {request_id})" if request_id else ""


def status_error(answer: Answer, now: float) -> APIStatusError:
    """The error that an answer is; `now` is seconds since the epoch, to tell whether this machine's clock is off."""
    body = _body(answer)
    code, detail = _told(body)
    cls = CLASSES.get(answer.status, APIStatusError)
    hints = [hint for hint in (_redirected(answer), _foreign(answer), cls.hint, _clock(answer, now)) if hint]
    told = f"{answer.status} {code}".rstrip() + (f": {detail}" if detail else "")
    return cls(
        "; ".join([told, *hints]) + _named(answer.request_id),
        status=answer.status,
        code=code,
        request_id=answer.request_id,
        body=body,
        headers=answer.headers,
        retry_after=retry_after_in(answer.headers, now),
    )


def _body(answer: Answer) -> object:
    try:
        return _decode(answer.body.decode())
    except (ValueError, RecursionError):
        return answer.body.decode("utf-8", "replace")


def _told(body: object) -> tuple[str, str]:
    """The code and the sentence: of a problem document (RFC 9457), of an agent's `error`, or the start of a text."""
    if isinstance(body, str):
        return "", " ".join(body.split())[:_MOST_SHOWN]
    if not isinstance(body, dict):
        return "", ""
    facts = body["error"] if isinstance(body.get("error"), dict) else body
    code, detail = facts.get("code"), facts.get("detail") or facts.get("message") or facts.get("title")
    return str(code or ""), str(detail or "")


def _redirected(answer: Answer) -> str:
    return "the base URL leads elsewhere: use the address of the gatewayd itself" if answer.status < 400 else ""


def _foreign(answer: Answer) -> str:
    """Neither the gateway nor an agent says in HTML that there is nothing here."""
    return _WRONG_ADDRESS if answer.status in (404, 405) and answer.kind == "text/html" else ""


def _clock(answer: Answer, now: float) -> str:
    """Who is refused for a token's time should know if it is their own clock that is off."""
    sent = date_in(answer.headers.get("date", ""))
    if answer.status != 401 or sent is None or abs(now - sent) <= _CLOCK_TOLERANCE:
        return ""
    direction = "ahead of" if now > sent else "behind"
    return (
        f"the clock of this machine is {abs(now - sent):.0f} s {direction} the gateway's: tokens made here may not hold"
    )
