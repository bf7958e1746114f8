"""Tokens that must be refused, each named for what is wrong with it. Most are rightly signed."""

import json
from collections.abc import Callable

import pytest

from tests.identity.forging import NOW, SECRET, b64, forge, public_pem, sign, with_header

Forge = Callable[[], str]
HEADER = b64('{"alg":"HS256","typ":"JWT"}')
GOOD = forge()
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")


def raw(payload: str | bytes) -> Forge:
    return lambda: forge(payload)


def with_exp(literal: str) -> Forge:
    return raw(f'{{"sub":"alice","exp":{literal}}}')


def claiming(**claims: object) -> Forge:
    return lambda: forge(claims=claims)


def headed(header: str | bytes) -> Forge:
    return lambda: forge(header=header)


def texts(**tokens: str) -> list[tuple[str, Forge]]:
    return [(name.replace("_", " "), lambda token=token: token) for name, token in tokens.items()]  # type: ignore[misc]


_TEXT = texts(
    empty="",
    dots="..",
    one_part=HEAD,
    two_parts=f"{HEAD}.{PAYLOAD}",
    four_parts=f"{GOOD}.{SIGNATURE}",
    jwe_of_five_parts=f"{GOOD}.{SIGNATURE}.{SIGNATURE}",
    no_header=f".{PAYLOAD}.{SIGNATURE}",
    no_payload=sign(HEAD, ""),
    no_signature=f"{HEAD}.{PAYLOAD}.",
    truncated=GOOD[:-1],
    truncated_by_four=GOOD[:-4],
    longer_by_four=f"{GOOD}AAAA",
    first_signature_byte_changed=f"{HEAD}.{PAYLOAD}.{'B' if SIGNATURE[0] == 'A' else 'A'}{SIGNATURE[1:]}",
    another_payload=f"{HEAD}.{b64(json.dumps({'sub': 'root', 'exp': NOW + 9}))}.{SIGNATURE}",
    another_header=f"{b64(json.dumps({'alg': 'HS256'}))}.{PAYLOAD}.{SIGNATURE}",
    signature_of_nothing=f"{HEAD}.{PAYLOAD}.{b64(bytes(32))}",
    padded_signature=f"{GOOD}=",
    padded_payload=sign(HEAD, b64('{"sub":"alice","exp":1764003600}') + "="),
    padded_header=sign(b64('{"alg":"HS256" }') + "==", PAYLOAD),
    space_in_front=f" {GOOD}",
    space_behind=f"{GOOD} ",
    line_break_behind=f"{GOOD}\n",
    line_break_inside=sign(HEAD, f"{PAYLOAD[:8]}\n{PAYLOAD[8:]}"),
    nul_behind=f"{GOOD}\0",
    standard_alphabet=sign(HEAD, b64('{"sub":"???>>>","exp":1764003600}').replace("_", "/").replace("-", "+")),
    not_base64=sign(HEAD, "!!!!"),
    one_character_of_base64=sign(HEAD, f"{PAYLOAD}AAAAA"[: len(PAYLOAD) // 4 * 4 + 1]),
    scheme_left_in=f"Bearer {GOOD}",
    not_ascii=f"{GOOD}é",
    lone_surrogate_in_text=f"{GOOD}\ud800",
    full_width_dots=GOOD.replace(".", "\uff0e"),
    arabic_digits=f"{HEAD}.{PAYLOAD}.{SIGNATURE[:-1]}\u0661",
    longer_than_allowed=forge(pad="x" * 8192),
)

_HEADERS = [
    *((f"alg {alg}", headed(json.dumps({"alg": alg}))) for alg in ("none", "None", "NONE", "nOnE", "hs256")),
    ("alg empty", headed('{"alg":""}')),
    ("alg none without signature", lambda: f"{b64(json.dumps({'alg': 'none'}))}.{PAYLOAD}."),
    ("alg none and a signature of one byte", lambda: f"{b64(json.dumps({'alg': 'none'}))}.{PAYLOAD}.AA"),
    ("alg missing", headed('{"typ":"JWT"}')),
    ("alg null", headed('{"alg":null}')),
    ("alg a list", headed('{"alg":["HS256"]}')),
    ("alg an object", headed('{"alg":{"HS256":1}}')),
    ("alg a number", headed('{"alg":256}')),
    ("alg with a space", headed('{"alg":"HS256 "}')),
    ("alg not configured", lambda: sign(b64('{"alg":"HS512"}'), PAYLOAD, algorithm="HS512")),
    ("alg asymmetric, not configured", headed('{"alg":"RS256"}')),
    ("alg twice", headed('{"alg":"none","alg":"HS256"}')),
    ("alg twice in disguise", headed('{"alg":"HS256","\\u0061lg":"HS256"}')),
    ("crit", lambda: with_header(crit=["exp"], exp=1)),
    ("crit empty", lambda: with_header(crit=[])),
    ("crit null", lambda: with_header(crit=None)),
    ("b64 false", lambda: with_header(b64=False)),
    ("b64 false and critical", lambda: with_header(b64=False, crit=["b64"])),
    ("b64 false, payload as it is", lambda: sign(b64('{"alg":"HS256","b64":false,"crit":["b64"]}'), "{}")),
    ("b64 true", lambda: with_header(b64=True)),
    ("typ of another kind", lambda: with_header(typ="secevent+jwt")),
    ("typ empty", lambda: with_header(typ="")),
    ("typ null", lambda: with_header(typ=None)),
    ("typ a list", lambda: with_header(typ=["JWT"])),
    ("kid a number", lambda: with_header(kid=7)),
    ("kid an object", lambda: with_header(kid={"../": 1})),
    ("header an array", headed('["HS256"]')),
    ("header a string", headed('"HS256"')),
    ("header not JSON", headed("HS256")),
    ("header not UTF-8", headed(b'{"alg":"HS256","x":"\xff"}')),
    ("header in UTF-16", headed('{"alg":"HS256"}'.encode("utf-16"))),
    ("header with a byte order mark", headed('\ufeff{"alg":"HS256"}')),
    ("header deep", headed('{"alg":"HS256","x":' + "[" * 2500 + "]" * 2500 + "}")),
    ("header with 5,000 digits", headed('{"alg":"HS256","x":' + "9" * 5000 + "}")),
    ("own key offered in jwk", lambda: forge(header='{"alg":"HS256","jwk":{"k":"eA"}}', secret="x")),
    ("own key offered in jku", lambda: forge(header='{"alg":"HS256","jku":"http://[::1]:9/"}', secret="x")),
    ("another secret", lambda: forge(secret=SECRET + "x")),
    ("empty secret", lambda: forge(secret="")),
    ("public key as the secret", lambda: forge(secret=public_pem("RSA"))),
]  # fmt: skip

_PAYLOADS = [
    ("payload an array", raw("[]")),
    ("payload a string", raw('"alice"')),
    ("payload null", raw("null")),
    ("payload not JSON", raw("alice")),
    ("payload empty object", raw("{}")),
    ("payload not UTF-8", raw(b'{"sub":"\xff","exp":1764003600}')),
    ("payload in UTF-16", raw('{"sub":"alice","exp":1764003600}'.encode("utf-16"))),
    ("payload a token", raw(GOOD)),
    ("sub twice", raw('{"sub":"alice","sub":"root","exp":1764003600}')),
    ("exp twice", raw('{"sub":"alice","exp":1,"exp":1764003600}')),
    ("member twice further down", raw('{"sub":"alice","exp":1764003600,"x":{"y":1,"y":2}}')),
    ("deep arrays", raw('{"sub":"alice","exp":1764003600,"x":' + "[" * 2500 + "]" * 2500 + "}")),
    ("deep objects", raw('{"sub":"alice","exp":1764003600,"x":' + '{"a":' * 900 + "1" + "}" * 900 + "}")),
    ("deep and never closed", raw("[" * 5000)),
    ("5,000 digits", raw('{"sub":"alice","exp":1764003600,"x":' + "9" * 5000 + "}")),
    ("NaN somewhere", raw('{"sub":"alice","exp":1764003600,"x":NaN}')),
]

_DATES = [
    *((f"exp {name}", with_exp(literal)) for name, literal in {
        "text": '"1764003600"', "empty text": '""', "true": "true", "false": "false", "null": "null",
        "list": "[1764003600]", "object": '{"at":1764003600}', "zero": "0", "negative": "-1", "NaN": "NaN",
        "negative float": "-1.5", "Infinity": "Infinity", "1e400": "1e400", "huge": "9" * 4000,
        "past the year 9999": "253402300800", "5,000 digits": "9" * 5000, "hexadecimal": "0x7fffffff",
        "date text": '"2099-01-01T00:00:00Z"', "past": str(NOW - 31), "past by the leeway": str(NOW - 30),
    }.items()),
    ("exp missing", claiming(exp=...)),
    ("nbf after the leeway", claiming(nbf=NOW + 31)),
    ("nbf a fraction after the leeway", claiming(nbf=NOW + 30.5)),
    ("nbf negative", claiming(nbf=-1)),
    ("nbf text", claiming(nbf=str(NOW))),
    ("nbf null", claiming(nbf=None)),
    ("iat after the leeway", claiming(iat=NOW + 31)),
    ("iat negative", claiming(iat=-0.5)),
    ("iat text", claiming(iat="now")),
    ("iat true", claiming(iat=True)),
    ("iat huge", claiming(iat=10**300)),
]  # fmt: skip

_NAMES = [
    ("sub missing", claiming(sub=...)),
    *((f"sub {name}", claiming(sub=value)) for name, value in {
        "number": 7, "null": None, "true": True, "list": ["alice"], "object": {"id": "alice"}, "empty": "",
        "a space": " ", "too long": "a" * 257, "LF": "alice\n",
        "CR LF": "alice\r\nX-User-Plan: gold", "NUL": "al\0ice",
        "tab": "al\tice", "DEL": "alice\x7f", "C1 control": "alice\x85", "lone surrogate": "alice\ud800",
        "line separator": "alice\u2028", "right to left": "\u202eecila", "zero width": "ali\u200bce",
        "no-break space": "al\u00a0ice", "space in front": " alice", "space behind": "alice ",
    }.items()),
    ("plan number", claiming(plan=1)),
    ("plan empty", claiming(plan="")),
    ("plan null", claiming(plan=None)),
    ("plan list", claiming(plan=["gold"])),
    ("plan with LF", claiming(plan="gold\nx")),
    ("role number", claiming(role=1)),
    ("role null", claiming(role=None)),
    ("role empty", claiming(role="")),
    ("role object", claiming(role={"admin": True})),
    ("roles with a number", claiming(role=["admin", 1])),
    ("roles with a list", claiming(role=[["admin"]])),
    ("jti number", claiming(jti=1)),
    ("jti empty", claiming(jti="")),
    ("jti with CR LF", claiming(jti="a\r\nb")),
    ("iss number", claiming(iss=1)),
    ("aud number", claiming(aud=1)),
    ("aud null", claiming(aud=None)),
    ("aud list of numbers", claiming(aud=[1])),
    ("aud object", claiming(aud={"gatewayd": 1})),
    ("refresh token", claiming(type="refresh")),
    ("refresh token in capitals", claiming(type="REFRESH")),
    ("type a list", claiming(type=["refresh"])),
    ("type null", claiming(type=None)),
]  # fmt: skip

HOSTILE = [pytest.param(make, id=name) for name, make in [*_TEXT, *_HEADERS, *_PAYLOADS, *_DATES, *_NAMES]]
