"""Raw requests that someone sends who means no good, or does not know better, each with what must become of it.

Every one goes to a gateway with three routes: /api/email and /api/rag are public, /api/email/admin is not. A request is
refused, and then no agent sees a byte of it; or it is forwarded, and then an agent sees exactly one request.
"""

from dataclasses import dataclass

HOST = b"Host: gw\r\n"
GET = b"GET /api/email/x HTTP/1.1"
POST = b"POST /api/email/x HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"
WEBSOCKET = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA==")


def request(line: bytes = GET, *fields: bytes, host: bytes = HOST, body: bytes = b"") -> bytes:
    """A request put together without any judgement."""
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def get(target: bytes) -> bytes:
    return request(b"GET " + target + b" HTTP/1.1")


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return request(POST, *fields, body=body)


def chunks(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer is this status and code, and the connection ends with it."""

    name: str
    request: bytes
    status: int = 400
    code: str = "bad_request"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The agent sees one request for each of `lines`, `fields` among its header lines, none of `never`, and `body`.

    `lines` are method and target at the agent, in the order of their answers. `ends`: the connection closes after them,
    whatever else was sent on it.
    """

    name: str
    request: bytes
    lines: tuple[bytes, ...] = (b"GET /api/email/x",)
    fields: tuple[bytes, ...] = ()
    never: tuple[bytes, ...] = ()
    body: bytes = b""
    ends: bool = False


def _refused(**requests: bytes) -> list[Refused]:
    return [Refused(name.replace("_", " "), raw) for name, raw in requests.items()]


_SECOND = b"GET /api/email/smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"

_LINES = _refused(
    bare_LF_everywhere=request().replace(b"\r\n", b"\n"),
    bare_LF_after_one_field=b"GET /api/email/x HTTP/1.1\r\nHost: gw\nX: y\r\n\r\n",
    bare_LF_at_the_end=b"GET /api/email/x HTTP/1.1\r\nHost: gw\r\n\n",
    bare_CR_in_a_value=post(b"X: a\rContent-Length: 5"),
    bare_CR_before_a_name=b"GET /api/email/x HTTP/1.1\r\nHost: gw\r\n\rX: y\r\n\r\n",
    bare_CR_in_the_request_line=request(b"GET /api/email/x HTTP/1.1\r"),
    tab_in_the_request_line=request(b"GET\t/api/email/x HTTP/1.1"),
    space_before_the_method=request(b" GET /api/email/x HTTP/1.1"),
    something_behind_the_version=request(b"GET /api/email/x HTTP/1.1 x"),
    obs_fold_with_a_space=request(GET, b"X: a", b" b"),
    obs_fold_with_a_tab=request(GET, b"X: a", b"\tb"),
    obs_fold_before_the_first_field=b"GET /api/email/x HTTP/1.1\r\n Host: gw\r\n\r\n",
    obs_fold_hiding_a_coding=post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    NUL_in_a_value=request(GET, b"X: a\0b"),
    NUL_in_a_name=request(GET, b"X\0: a"),
    space_before_the_colon=request(GET, b"X : a"),
    tab_before_the_colon=request(GET, b"X\t: a"),
    space_before_the_colon_of_a_length=post(b"Content-Length : 1", body=b"a"),
    empty_name=request(GET, b": a"),
    line_without_a_colon=request(GET, b"X"),
    name_in_parentheses=request(GET, b"(X): a"),
    name_that_is_not_ASCII=request(GET, b"X\xc3\xa9: a"),
    name_with_a_slash=request(GET, b"X/Y: a"),
    not_HTTP=b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
    method_in_lower_case=request(b"get /api/email/x HTTP/1.1"),
    method_unknown=request(b"FROBNICATE /api/email/x HTTP/1.1"),
    method_missing=request(b"/api/email/x HTTP/1.1"),
    version_in_lower_case=request(b"GET /api/email/x http/1.1"),
    version_of_another_protocol=request(b"GET /api/email/x ICY/1.0"),
    version_incomplete=request(b"GET /api/email/x HTTP/1"),
    length_doubled=post(b"Content-Length: 1", b"Content-Length: 1", body=b"a"),
    lengths_that_differ=post(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),
    length_a_list=post(b"Content-Length: 1, 1", body=b"a"),
    length_with_a_plus=post(b"Content-Length: +1", body=b"a"),
    length_negative=post(b"Content-Length: -1", body=b"a"),
    length_in_hex=post(b"Content-Length: 0x1", body=b"a"),
    length_empty=post(b"Content-Length: ", body=b"a"),
    length_of_two_words=post(b"Content-Length: 1 1", body=b"a"),
    length_with_an_underscore=post(b"Content-Length: 1_0", body=b"a"),
    length_past_64_bits=post(b"Content-Length: 18446744073709551617", body=b"a"),
    length_past_63_bits=post(b"Content-Length: 9999999999999999999", body=b"a"),
    length_in_other_digits=post(b"Content-Length: \xb2", body=b"ab"),
    length_and_coding=post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + _SECOND),
    coding_and_length=post(CHUNKED, b"Content-Length: 6", body=b"0\r\n\r\nG" + _SECOND),
    coding_doubled=post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    coding_in_HTTP_1_0=request(b"POST /api/email/x HTTP/1.0", CHUNKED, body=b"0\r\n\r\n"),
    coding_in_HTTP_1_0_kept_alive=request(
        b"POST /api/email/x HTTP/1.0", b"Connection: keep-alive", CHUNKED, body=b"0\r\n\r\n" + _SECOND
    ),
)

_CODINGS = [
    Refused(f"coding {coding!r}", post(b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n" + _SECOND))
    for coding in (
        b"gzip", b"identity", b"chunked, chunked", b"chunked,chunked", b"gzip, chunked", b"chunked, gzip",
        b"identity, chunked", b"chunked, identity", b"xchunked", b"chunkedx", b"chunked;q=1", b"\x0bchunked",
        b"chunked\x0b", b"\x0cchunked", b"", b",chunked", b"chunked,", b'"chunked"', b"chunked identity", b"chunked\t",
        b"chunked\xa0", b"\xc4\x8bhunked",
    )
]  # fmt: skip

_CHUNKS = [
    Refused(f"chunk {chunk!r}", chunks(chunk + b"0\r\n\r\n"))
    for chunk in (
        b"-1\r\na\r\n", b"+1\r\na\r\n", b"0x1\r\na\r\n", b" 1\r\na\r\n", b"1 \r\na\r\n", b"1\t\r\na\r\n",
        b"g\r\na\r\n", b"\r\na\r\n", b"1_0\r\na\r\n", b"1,\r\na\r\n", b"FFFFFFFFFFFFFFFFF\r\na\r\n",
        b"1;a\nb\r\na\r\n", b"1;a\rb\r\na\r\n", b"1;a\0b\r\na\r\n", b"1\na\r\n", b"1\ra\r\n", b"1\r\nab\r\n",
        b"1\r\na\n", b"1\r\na", b"2\r\na\r\n",
    )
]  # fmt: skip

_BODIES = _refused(
    trailer_with_a_space_in_its_name=chunks(b"1\r\na\r\n0\r\nX Y: 1\r\n\r\n"),
    trailer_with_a_bare_LF=chunks(b"1\r\na\r\n0\r\nX: 1\n\r\n"),
    no_line_break_behind_the_last_chunk=chunks(b"1\r\na\r\n0\r\n" + _SECOND),
    nothing_behind_the_last_chunk=chunks(b"1\r\na\r\n0" + _SECOND),
)

_VERSIONS = [
    Refused(f"version {line!r}", request(b"GET /api/email/x" + line), 505, "version_unsupported")
    for line in (b" HTTP/2.0", b" HTTP/1.2", b" HTTP/1.9", b" HTTP/0.9", b" HTTP/3.0", b" HTTP/0.0", b" HTTP/9.9", b"")
] + [
    Refused("version of HTTP/0.9, alone", b"GET /api/email/x\r\n\r\n", 505, "version_unsupported"),
    Refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_unsupported"),
]

_TARGETS = [
    Refused(f"target {target.decode('latin-1')}", get(target))
    for target in (
        b"*", b"gw:80", b"api/email/x", b"?a", b"http://other/api/email/x", b"http://gw:80/api/email/x",
        b"http://u@gw/api/email/x", b"http://gw@other/api/email/x", b"http:///api/email/x",
        b"ftp://gw/api/email/x", b"gw/api/email/x", b"http:/api/email/x", b"http:\\\\gw/api/email/x",
        b"/api/email/x#f", b"/api/email/x?a#f", b"/api/email/#", b"/api/email/a\\b", b"/api/email/x?a\\b",
        b"/api/email/\xff", b"/api/email/\xc3\xa9", b"/api/email/x?\xc3\xa9", b"/api/email/\x7f", b"/api/email/\x01",
        b"/api/email/%", b"/api/email/%4", b"/api/email/%zz", b"/api/email/%u002e", b"/api/email/%-1",
        b"/api/email/%00", b"/api/email/x%00.json", b"/api/email/%2500",
        b"/api/email/..", b"/api/email/.", b"/api/email/./x", b"/api/email/../rag/x", b"/api/email/x/../../rag",
        b"/api/email/%2e%2e/rag/x", b"/api/email/%2E%2E/rag/x", b"/api/email/.%2e/rag/x", b"/api/email/%2e./rag/x",
        b"/api/email/%2e/x", b"/api/email/%252e%252e/rag/x", b"/api/email/%25252e%25252e/rag/x",
        b"/api/email/%2525252e%2525252e/rag/x", b"/api/email/%252525252525252e/rag/x", b"/api/email/%%32%65%%32%65/x",
        b"/api/email/..;/rag/x", b"/api/email/..;a=b/rag/x", b"/api/email/.;/x", b"/api/email/..%3b/rag/x",
        b"/api/email/%2e%2e%3ba=b/rag/x", b"/api/email/..%2frag/x", b"/api/email/%2f..%2frag", b"/api/email/..%252frag",
        b"/api/email/..%5crag", b"/api/email/x%5c..%5c..%5crag", b"/api/email/%2e%2e%5crag", b"/api/email/..%3fx",
        b"/api/email/..%23x", b"/api/email/..%20/x", b"/api/email/..%09/x", b"/api/email/%20../x",
        b"/api/email/..%0d%0a",
        b"/api/email/%c0%ae%c0%ae/rag", b"/api/email/%e0%80%ae%e0%80%ae/rag", b"/api/email/%f0%80%80%ae/rag",
        b"/api/email/..%c0%afrag", b"/api/email/x%c1%9crag", b"/api/email/%25c0%25ae/x",
        b"/api/email/%61dmin/x", b"/api/email//admin/x", b"/api/email/%2fadmin/x", b"/api/email%2fadmin/x",
        b"/api/email/%5cadmin", b"/api/email/admin%2fx", b"/api/email/admin;a=b/x", b"/api/email/;/admin/x",
        b"/api/email/%2561dmin/x", b"/api/email/admin%3bx/y", b"/api/email/admin%3fx", b"/api/email/admin%20/x",
        b"//api/email/x", b"/api//email/x", b"/api%2femail/x", b"/api/%65mail/x", b"/api/email;x/y", b"/;/api/email/x",
        b"//health", b"/%68ealth", b"//gateway/v1/agents", b"/health;x",
    )
]  # fmt: skip

_METHODS = _refused(
    CONNECT_of_a_path=request(b"CONNECT /api/email/x HTTP/1.1", body=_SECOND),
    CONNECT_of_an_authority=request(b"CONNECT gw:80 HTTP/1.1", body=_SECOND),
    CONNECT_of_our_own=request(b"CONNECT /health HTTP/1.1", body=_SECOND),
    asterisk_form=request(b"OPTIONS * HTTP/1.1"),
    asterisk_form_with_an_unknown_expectation=request(b"OPTIONS * HTTP/1.1", b"Expect: <script>"),
    asterisk_form_with_a_body=request(b"OPTIONS * HTTP/1.1", b"Content-Length: 1", b"Expect: 100-continue", body=b"a"),
)

_HOSTS = [
    Refused(f"host {host!r}", request(host=host))
    for host in (
        b"", b"Host:\r\n", b"Host: \r\n", b"Host: gw\r\nHost: gw\r\n", b"Host: gw\r\nhOST: other\r\n",
        b"Host: user@gw\r\n", b"Host: gw/x\r\n", b"Host: gw,other\r\n", b"Host: gw, other\r\n", b"Host: gw other\r\n",
        b"Host: gw:x\r\n", b"Host: gw:-1\r\n", b"Host: gw:999999\r\n", b"Host: ::1\r\n", b"Host: [::1\r\n",
        b"Host: [::1]x\r\n", b"Host: gw\\x\r\n", b"Host: gw%00\r\n", b"Host: \xc3\xa9\r\n", b"Host: http://gw\r\n",
        b"Host: gw#\r\n", b"Host: gw?x\r\n", b"Host: \"gw\"\r\n", b"Host: <gw>\r\n", b"Host: gw\tx\r\n",
    )
]  # fmt: skip

_VALUES = [
    Refused(f"value with byte {byte:02x}", request(GET, b"X: a%cb" % byte)) for byte in (1, 7, 8, 11, 12, 27, 31, 127)
] + [
    Refused(f"{name} with a control character", request(GET, name.encode() + b": a\x01b"))
    for name in ("Via", "Authorization", "X-Forwarded-For", "X_Forwarded_For", "TE", "traceparent")
]

_UPGRADES = _refused(
    upgrade_to_h2c=request(
        GET, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"
    ),
    upgrade_to_h2c_of_our_own=request(b"GET /health HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c", body=_SECOND),
    upgrade_to_something=request(GET, b"Connection: Upgrade", b"Upgrade: something/2", body=_SECOND),
    upgrade_to_nothing=request(GET, b"Connection: Upgrade", b"Upgrade:"),
    upgrade_hidden_behind_a_tab=request(GET, b"Connection: close,\tupgrade", b"Upgrade: something"),
    upgrade_to_one_of_two=request(GET, b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
    upgrade_to_a_list=request(GET, b"Connection: Upgrade", b"Upgrade: websocket, h2c"),
    upgrade_to_websocket_twice=request(GET, *WEBSOCKET, b"Upgrade: websocket"),
    upgrade_with_a_sized_body=request(GET, *WEBSOCKET, b"Content-Length: 1", body=b"a" + _SECOND),
    upgrade_with_a_chunked_body=request(GET, *WEBSOCKET, CHUNKED, body=b"0\r\n\r\n" + _SECOND),
    upgrade_by_POST=request(POST, *WEBSOCKET),
    upgrade_in_HTTP_1_0=request(b"GET /api/email/x HTTP/1.0", *WEBSOCKET),
    upgrade_of_a_route_that_allows_none=request(b"GET /api/rag/x HTTP/1.1", *WEBSOCKET),
    websocket_of_old=request(GET, *WEBSOCKET, b"Sec-WebSocket-Key1: x"),
)

_EXPECTATIONS = [
    Refused(f"expectation {value!r}", post(b"Expect: " + value, b"Content-Length: 1", body=b"a"))
    for value in (b"200-ok", b"", b"100-continue, x", b"100-continue;q=1", b"<script>")
] + [
    Refused(
        "expectation twice", post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 1", body=b"a")
    )
]

_SIZES = [
    Refused("target too long", get(b"/api/email/" + b"a" * 17_000), 414, "uri_too_long"),
    Refused("target of 300 kB", get(b"/api/email/" + b"a" * 300_000), 414, "uri_too_long"),
    Refused("query too long", get(b"/api/email/x?" + b"a" * 17_000), 414, "uri_too_long"),
    Refused("target as long as a head may be", get(b"/api/email/" + b"a" * 8_160), 431, "headers_too_large"),
    Refused("field too large", request(GET, b"X: " + b"a" * 8_300), 431, "headers_too_large"),
    Refused("field of 500 kB", request(GET, b"X: " + b"a" * 500_000), 431, "headers_too_large"),
    Refused("name too large", request(GET, b"X" * 8_300 + b": a"), 431, "headers_too_large"),
    Refused("name of 500 kB", request(GET, b"X" * 500_000 + b": a"), 431, "headers_too_large"),
    Refused("section too large", request(GET, *[b"X: " + b"a" * 90] * 90), 431, "headers_too_large"),
    Refused("a thousand empty fields too many", request(GET, *[b"A:"] * 2_100), 431, "headers_too_large"),
    Refused("100,000 empty fields", request(GET, *[b"A:"] * 100_000), 431, "headers_too_large"),
    Refused("dropped fields too large", request(GET, *[b"X_User_ID: " + b"a" * 90] * 90), 431, "headers_too_large"),
    Refused(
        "section too large and never ended",
        b"%b\r\n%b" % (GET, b"X: aaaaaaaaaaaaaaaa\r\n" * 500),
        431,
        "headers_too_large",
    ),
    Refused(
        "trailers too large", chunks(b"1\r\na\r\n0\r\nX: " + b"a" * 500_000 + b"\r\n\r\n"), 431, "headers_too_large"
    ),
]

REFUSED: list[Refused] = [
    *_LINES, *_CODINGS, *_CHUNKS, *_BODIES, *_VERSIONS, *_TARGETS, *_METHODS, *_HOSTS, *_VALUES, *_UPGRADES,
    *_EXPECTATIONS, *_SIZES,
]  # fmt: skip

_PLAIN = [
    Forwarded("a plain request", request()),
    Forwarded("two spaces in the request line", request(b"GET  /api/email/x HTTP/1.1")),
    Forwarded("CRLF before it", b"\r\n" + request()),
    Forwarded("several CRLF before it", b"\r\n" * 5 + request()),
    Forwarded("HTTP/1.0 without a host", b"GET /api/email/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    Forwarded("absolute form of the same host", get(b"http://gw/api/email/x")),
    Forwarded(
        "absolute form in other letters", request(b"GET HTTP://GW/api/email/x?y HTTP/1.1"), (b"GET /api/email/x?y",)
    ),
    Forwarded("host with a port", request(host=b"Host: gw:8080\r\n"), fields=(b"X-Forwarded-Host: gw:8080",)),
    Forwarded("host with an empty port", request(host=b"Host: gw:\r\n")),
    Forwarded("host an IPv6 literal", request(host=b"Host: [::1]:80\r\n"), fields=(b"X-Forwarded-Host: [::1]:80",)),
    Forwarded("host with an underscore", request(host=b"Host: my_gw\r\n")),
    Forwarded("host among spaces", request(host=b"Host: \t gw \t\r\n"), fields=(b"X-Forwarded-Host: gw",)),
    Forwarded("value that is not ASCII", request(GET, b"X: \xff\xfe \xc3\xa9"), fields=(b"X: \xff\xfe \xc3\xa9",)),
    Forwarded("value with a tab inside", request(GET, b"X: a\tb"), fields=(b"X: a\tb",)),
    Forwarded("empty value", request(GET, b"X:"), fields=(b"X: ",)),
    Forwarded("repeats keep their order", request(GET, b"X: 2", b"Y: a", b"X: 1"), fields=(b"X: 2", b"Y: a", b"X: 1")),
    Forwarded(
        "every character of a name", request(GET, b"!#$%&'*+-.^_`|~09aZ: a"), fields=(b"!#$%&'*+-.^_`|~09aZ: a",)
    ),
    Forwarded("target at its limit", get(b"/api/email/" + b"a" * 4_000), (b"GET /api/email/" + b"a" * 4_000,)),
    Forwarded("many fields", request(GET, *[b"A: b"] * 700), fields=(b"A: b",) * 700),
]

_SAME_BYTES = [
    Forwarded(f"target {target.decode()}", get(target), (b"GET " + target,))
    for target in (
        b"/api/email", b"/api/email/", b"/api/email?a", b"/api/email//", b"/api/email//x", b"/api/email/a%2fb",
        b"/api/email/a%5Cb", b"/api/email/%41%62", b"/api/email/%e4%bd%a0", b"/api/email/%E4", b"/api/email/a;b=c/d",
        b"/api/email/a%0ab", b"/api/email/%0D%0A",
        b"/api/email/...", b"/api/email/..a", b"/api/email/a..", b"/api/email/.well-known", b"/api/email/a%20b",
        b"/api/email/%252f", b"/api/email/100%25", b"/api/email/100%2525", b"/api/email/http://gw/x",
        b"/api/email/x?../../rag", b"/api/email/x?%zz%00", b"/api/email/x?", b"/api/email/x??",
        b"/api/email/x?a=1&a=2&b=",
        b"/api/email/x?a=b/../c?d", b"/api/email/\"<>^`{|}", b"/api/email/!$&'()*+,;=:@-._~", b"/api/email/adminx",
        b"/api/email/Admin",
    )
]  # fmt: skip

_POST = (b"POST /api/email/x",)
_FRAMED = [
    Forwarded("sized body", post(b"Content-Length: 5", body=b"hello"), _POST, (b"Content-Length: 5",), body=b"hello"),
    Forwarded(
        "length with zeros before it",
        post(b"Content-Length: 0005", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        body=b"hello",
    ),
    Forwarded("length of zero", post(b"Content-Length: 0"), _POST, (b"Content-Length: 0",)),
    Forwarded(
        "length among spaces",
        post(b"Content-Length: \t 5 \t", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        body=b"hello",
    ),
    Forwarded(
        "body of a GET",
        request(GET, b"Content-Length: 5", body=b"hello"),
        fields=(b"Content-Length: 5",),
        body=b"hello",
    ),
    Forwarded("chunked body", chunks(b"5\r\nhello\r\n0\r\n\r\n"), _POST, (CHUNKED,), body=b"5\r\nhello\r\n0\r\n\r\n"),
    Forwarded(
        "chunked in other letters",
        post(b"transfer-ENCODING: Chunked", body=b"0\r\n\r\n"),
        _POST,
        (CHUNKED,),
        body=b"0\r\n\r\n",
    ),
    Forwarded(
        "chunked among spaces",
        post(b"Transfer-Encoding:  chunked  ", body=b"0\r\n\r\n"),
        _POST,
        (CHUNKED,),
        body=b"0\r\n\r\n",
    ),
    Forwarded("chunk sizes with zeros", chunks(b"0005\r\nhello\r\n00\r\n\r\n"), _POST, body=b"5\r\nhello\r\n0\r\n\r\n"),
    Forwarded(
        "chunk extensions are dropped",
        chunks(b'5;a=b;c="d;e"\r\nhello\r\n0;f\r\n\r\n'),
        _POST,
        never=(b"a=b",),
        body=b"5\r\nhello\r\n0\r\n\r\n",
    ),
    Forwarded(
        "trailers are dropped",
        chunks(b"5\r\nhello\r\n0\r\nX-User-ID: root\r\n\r\n"),
        _POST,
        never=(b"root",),
        body=b"5\r\nhello\r\n0\r\n\r\n",
    ),
    Forwarded(
        "underscored framing is dropped",
        post(b"Transfer_Encoding: chunked", b"Content_Length: 9", b"Content-Length: 5", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        never=(b"_",),
        body=b"hello",
    ),
    Forwarded("expectation without a body", request(GET, b"Expect: 100-continue"), never=(b"Expect",)),
    Forwarded(
        "expectation in other letters",
        post(b"Expect: 100-Continue", b"Content-Length: 5", body=b"hello"),
        _POST,
        never=(b"Expect",),
        body=b"hello",
    ),
    Forwarded(
        "gzip bomb stays packed",
        post(b"Content-Encoding: gzip", b"Content-Length: 5", body=b"\x1f\x8b\x08\x00\x00"),
        _POST,
        (b"Content-Encoding: gzip",),
        body=b"\x1f\x8b\x08\x00\x00",
    ),
]

_SPOOFED = [
    Forwarded(
        "identity in every spelling",
        request(
            GET,
            b"X-User-ID: root",
            b"X_User_ID: root",
            b"x-user_id: root",
            b"X.User.ID: root",
            b"X~User|ID: root",
            b"X-USER-PLAN: root",
            b"X_User_Plan: root",
            b"X-Trace-ID: root",
            b"X-Correlation-ID: root",
            b"X-Request-ID: root",
            b"X_Request_ID: root",
        ),
        never=(b"root", b"_", b"X-Correlation-ID"),
    ),
    Forwarded(
        "address in every spelling",
        request(
            GET,
            b"X-Forwarded-For: 6.6.6.6",
            b"X_Forwarded_For: 6.6.6.6",
            b"Forwarded: for=6.6.6.6",
            b"X-Real-IP: 6.6.6.6",
            b"X-Forwarded-Host: 6.6.6.6",
            b"X-Forwarded-Port: 6666",
            b"X-Forwarded-Proto: 6.6.6.6",
            b"X-Forwarded-Prefix: 6.6.6.6",
        ),
        fields=(b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: http", b"X-Forwarded-Prefix: /api/email"),
        never=(b"6.6.6.6", b"6666"),
    ),
    Forwarded(
        "Connection names end-to-end fields",
        request(GET, b"Connection: X-A, x-b", b"X-A: 1", b"X-B: 2", b"X-C: 3"),
        fields=(b"X-C: 3",),
        never=(b"X-A", b"X-B", b"Connection"),
    ),
    Forwarded(
        "Connection names ours",
        request(GET, b"Connection: X-Request-ID, X-Forwarded-For, traceparent, Host, Via"),
        fields=(b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: gw", b"Via: 1.1 gatewayd"),
    ),
    Forwarded(
        "Connection names the framing",
        post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        body=b"hello",
    ),
    Forwarded("Connection of many commas", request(GET, b"Connection: ,, ,X-A,,", b"X-A: 1"), never=(b"X-A",)),
    Forwarded(
        "hop-by-hop fields",
        request(
            GET,
            b"TE: trailers",
            b"Trailer: X",
            b"Keep-Alive: 5",
            b"Proxy-Connection: keep-alive",
            b"Proxy-Authorization: Basic eDp5",
            b"Authorization: Bearer x",
        ),
        never=(b"TE:", b"Trailer", b"Keep-Alive", b"Proxy-", b"Authorization"),
    ),
    Forwarded(
        "upgrade that Connection does not name",
        request(GET, b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
        never=(b"h2c", b"Settings"),
    ),
    Forwarded(
        "Connection names an upgrade that is not there", request(GET, b"Connection: Upgrade"), never=(b"pgrade",)
    ),
]

_PIPELINED = [
    Forwarded(
        "three in one segment",
        request() + get(b"/api/email/y") + get(b"/api/rag/z"),
        (b"GET /api/email/x", b"GET /api/email/y", b"GET /rag/z"),
    ),
    Forwarded(
        "body that looks like a request",
        post(b"Content-Length: 46", body=b"GET /api/email/smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"),
        _POST,
        body=b"GET /api/email/smuggled HTTP/1.1\r\nHost: gw\r\n\r\n",
    ),
    Forwarded(
        "chunk that looks like the end",
        chunks(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        _POST,
        (CHUNKED,),
        body=b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    ),
    Forwarded(
        "one behind a chunked body, whose trailer aiohttp would give to it",
        chunks(b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n") + _SECOND,
        _POST,
        never=(b"Authorization", b"smuggled"),
        body=b"1\r\na\r\n0\r\n\r\n",
        ends=True,
    ),
    Forwarded(
        "part of one behind a chunked body",
        chunks(b"1\r\na\r\n0\r\nX-Evil: 1\r\n\r\n") + _SECOND[:30],
        _POST,
        never=(b"X-Evil", b"smuggled"),
        body=b"1\r\na\r\n0\r\n\r\n",
        ends=True,
    ),
    Forwarded(
        "what an upgrade leaves behind when it is declined",
        request(GET, *WEBSOCKET) + get(b"/api/email/y"),
        (b"GET /api/email/x", b"GET /api/email/y"),
        fields=(b"Upgrade: websocket",),
    ),
]

FORWARDED: list[Forwarded] = [*_PLAIN, *_SAME_BYTES, *_FRAMED, *_SPOOFED, *_PIPELINED]
