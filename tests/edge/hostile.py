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
    version_of_two_digits=request(b"GET /api/email/x HTTP/1.10"),
    version_with_a_zero_before_it=request(b"GET /api/email/x HTTP/01.1"),
    version_of_three_parts=request(b"GET /api/email/x HTTP/1.1.1"),
    version_with_a_space_inside=request(b"GET /api/email/x HTTP /1.1"),
    version_of_HTTPS=request(b"GET /api/email/x HTTPS/1.1"),
    space_behind_the_version=request(GET + b" "),
    vertical_tab_in_the_request_line=request(b"GET\x0b/api/email/x HTTP/1.1"),
    form_feed_in_the_request_line=request(b"GET /api/email/x\x0cHTTP/1.1"),
    tab_before_the_version=request(b"GET /api/email/x\tHTTP/1.1"),
    space_in_the_target=request(b"GET /api/email/x y HTTP/1.1"),
    NUL_in_the_method=request(b"G\0ET /api/email/x HTTP/1.1"),
    method_of_10_kB=request(b"G" * 10_000 + b" /api/email/x HTTP/1.1"),
    method_in_mixed_case=request(b"Get /api/email/x HTTP/1.1"),
    byte_order_mark=b"\xef\xbb\xbf" + request(),
    status_line=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    line_of_the_PROXY_protocol=b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + request(),
    greeting_of_SSH=b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    greeting_of_SOCKS=b"\x05\x01\x00",
    folded_with_a_bare_CR=request(GET, b"X: a\r b"),
    coding_with_a_space_before_its_colon=post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + _SECOND),
    coding_with_a_tab_before_its_colon=post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n" + _SECOND),
    coding_with_a_vertical_tab_before_its_colon=post(b"Transfer-Encoding\x0b: chunked", body=b"0\r\n\r\n"),
    coding_with_a_semicolon_before_its_colon=post(b"Transfer-Encoding;: chunked", body=b"0\r\n\r\n"),
    coding_with_a_NUL_before_it=post(b"\0Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    coding_in_quotes=post(b'"Transfer-Encoding": chunked', body=b"0\r\n\r\n"),
    coding_with_a_space_in_its_name=post(b"Transfer Encoding: chunked", body=b"0\r\n\r\n"),
    coding_behind_a_bare_CR=post(b"X: y\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    coding_behind_a_bare_LF=post(b"X: y\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    coding_that_ends_with_a_bare_LF=post(b"Transfer-Encoding: chunked\nX: y", body=b"0\r\n\r\n"),
    coding_folded_behind_a_length=post(b"Content-Length: 5", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    coding_and_length_in_HTTP_1_0=request(
        b"POST /api/email/x HTTP/1.0", CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    coding_identity_behind_chunked=post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + _SECOND),
    coding_nothing_before_chunked=post(b"Transfer-Encoding:", CHUNKED, body=b"0\r\n\r\n" + _SECOND),
    length_doubled_with_a_space=post(b"Content-Length: 0", b"Content-Length : 44", body=_SECOND),
    length_doubled_in_other_letters=post(b"Content-Length: 0", b"content-length: 44", body=_SECOND),
    length_doubled_in_HTTP_1_0=request(
        b"POST /api/email/x HTTP/1.0", b"Content-Length: 1", b"Content-Length: 1", body=b"a"
    ),
    length_of_19_digits=post(b"Content-Length: 0000000000000000005", body=b"hello"),
    one_behind_the_last=request(GET, b"Connection: close") + _SECOND,
    one_behind_HTTP_1_0_that_is_not_kept_alive=request(b"GET /api/email/x HTTP/1.0") + _SECOND,
    garbage_behind_a_length_of_zero=request(GET, b"Content-Length: 0", b"X", body=_SECOND),
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

_LENGTHS = [
    Refused(f"length {length!r}", post(b"Content-Length: " + length, body=b"hello" + _SECOND))
    for length in (
        b"5,5", b"5,", b",5", b"5 ,5", b"0, 44", b"5;5", b"5.0", b"5e0", b"0b1", b"0o5", b"-0", b"+0", b"0_5", b"inf",
        b'"5"', b"(5)", b"5\x0b", b"\x0b5", b"5\x0c", b"5\xa0", b"5\0", b"\xd9\xa5", b"\xef\xbc\x95",
    )
]  # fmt: skip

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
        b'1;a="\r\n"\r\na\r\n', b'1;a="b\r\na\r\n', b"1;\r\na\r\n", b"1 ;a\r\na\r\n", b"1; a\r\na\r\n",
        b"1;a b\r\na\r\n", b"1;a\t=b\r\na\r\n", b"1;a=b\x7f\r\na\r\n", b"1;\xe9\r\na\r\n",
        b"1\r\na\r\n\r\n", b"1\r\r\na\r\n", b"\n1\r\na\r\n", b"1\x00\r\na\r\n", b"1.0\r\na\r\n", b"1h\r\na\r\n",
        b"#1\r\na\r\n", b"'1'\r\na\r\n", b"\xef\xbc\x91\r\na\r\n", b"10000000000000001\r\na\r\n",
    )
]  # fmt: skip

_BODIES = _refused(
    trailer_with_a_space_in_its_name=chunks(b"1\r\na\r\n0\r\nX Y: 1\r\n\r\n"),
    trailer_with_a_bare_LF=chunks(b"1\r\na\r\n0\r\nX: 1\n\r\n"),
    trailer_with_a_bare_CR=chunks(b"1\r\na\r\n0\r\nX: a\rb\r\n\r\n"),
    trailer_with_a_NUL=chunks(b"1\r\na\r\n0\r\nX: a\0b\r\n\r\n"),
    trailer_with_a_control_character=chunks(b"1\r\na\r\n0\r\nX: a\x01b\r\n\r\n"),
    trailer_that_is_folded=chunks(b"1\r\na\r\n0\r\nX: a\r\n b\r\n\r\n"),
    trailer_without_a_colon=chunks(b"1\r\na\r\n0\r\nX\r\n\r\n"),
    trailer_without_a_name=chunks(b"1\r\na\r\n0\r\n: a\r\n\r\n"),
    trailer_with_a_space_before_its_colon=chunks(b"1\r\na\r\n0\r\nX : a\r\n\r\n"),
    trailer_that_states_a_length=chunks(b"1\r\na\r\n0\r\nContent-Length: 44\r\n\r\n" + _SECOND),
    trailer_that_states_a_coding=chunks(b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" + _SECOND),
    trailers_that_end_with_a_bare_LF=chunks(b"1\r\na\r\n0\r\nX: 1\r\n\n"),
    end_of_the_chunks_with_a_bare_LF=chunks(b"1\r\na\r\n0\r\n\n"),
    end_of_the_chunks_with_a_bare_CR=chunks(b"1\r\na\r\n0\r\n\r\r\n"),
    last_chunk_with_a_bare_LF=chunks(b"1\r\na\r\n0\n\r\n"),
    trailing_garbage_for_an_end=chunks(b"1\r\na\r\n0\r\n<script>\r\n\r\n"),
    no_line_break_behind_the_last_chunk=chunks(b"1\r\na\r\n0\r\n" + _SECOND),
    nothing_behind_the_last_chunk=chunks(b"1\r\na\r\n0" + _SECOND),
)

_VERSIONS = [
    Refused(f"version {line!r}", request(b"GET /api/email/x" + line), 505, "version_unsupported")
    for line in (b" HTTP/2.0", b" HTTP/1.2", b" HTTP/1.9", b" HTTP/0.9", b" HTTP/3.0", b" HTTP/0.0", b" HTTP/9.9", b"")
] + [
    Refused(f"protocol {line!r}", request(line), 505, "version_unsupported")
    for line in (
        b"GET /api/email/x RTSP/1.0", b"GET /api/email/x RTSP/1.1", b"POST /api/email/x RTSP/1.1",
        b"GET  /api/email/x  RTSP/1.1", b"OPTIONS /api/email/x RTSP/1.0", b"DESCRIBE /api/email/x RTSP/1.0",
        b"SOURCE /api/email/x ICE/1.0",
    )
] + [
    Refused("version of HTTP/0.9, alone", b"GET /api/email/x\r\n\r\n", 505, "version_unsupported"),
    Refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version_unsupported"),
    Refused(
        "the preface of HTTP/2 with frames",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5),
        505,
        "version_unsupported",
    ),
]  # fmt: skip

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
        b"https://gw:443/api/email/x", b"http://gw@gw/api/email/x", b"http://gw:80@other/api/email/x",
        b"http://[::1]/api/email/x", b"http://gw\\@other/api/email/x", b"http://gw#@other/", b"mailto:x", b"[::1]:80",
        b"%2fapi/email/x", b"/%2e/api/email/x", b"/api/email/..%00/x", b"/api/email/.%00./x", b"/api/email/x\x00",
        b"/api/email/%2e%2e%2frag", b"/api/email/%e0%80%af..", b"/api/email/..%c0%ae/x", b"/api/email/x;/../rag",
        b"/api/email/a/./b", b"/api/email/a/%2e%2e", b"/api/email/..%0a/x", b"/api/email/x?\x00", b"/api/email/x?a\x7f",
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
        b"Host : gw\r\n", b"Host: gw\0\r\n", b"Host: gw:80:80\r\n", b"Host: gw:80x\r\n", b"Host: [v1.a]\r\n",
        b"Host: %67w\r\n", b"Host:\r\n gw\r\n", b"Host: :80\r\n", b"Host: gw|x\r\n", b"Host: []\r\n", b"Host: [gw]\r\n",
        b"Host: [fe80::1%25eth0]\r\n", b"Host: gw\r\nHost: \r\n", b"Host: gw\r\nX: y\r\nhost: gw\r\n",
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
    upgrade_to_TLS=request(GET, b"Connection: Upgrade", b"Upgrade: TLS/1.0, HTTP/1.1"),
    upgrade_to_a_version_of_websocket=request(GET, b"Connection: Upgrade", b"Upgrade: websocket/13"),
    upgrade_to_h2c_behind_websocket=request(GET, b"Connection: Upgrade", b"Upgrade: websocket, h2c", body=_SECOND),
    upgrade_to_h2c_in_two_fields=request(GET, b"Connection: x", b"Connection: upgrade", b"Upgrade: h2c"),
    upgrade_to_h2c_by_POST=post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 44", body=_SECOND),
    websocket_of_old=request(GET, *WEBSOCKET, b"Sec-WebSocket-Key1: x"),
)

_CLOSE = b"Connection: close"
_PRIVATE = b"GET /api/email/admin/x HTTP/1.1"
_CALLERS = (
    [
        Refused(f"without a token: {name}", request(line, _CLOSE, *fields), 401, "token_missing")
        for name, line, fields in (
            ("a private route", _PRIVATE, ()),
            ("an identity that is only said", _PRIVATE, (b"X-User-ID: root", b"X-User-Plan: root")),
            ("a token under another name", _PRIVATE, (b"X_Authorization: Bearer a", b"Proxy-Authorization: Bearer a")),
            ("an address that is only said", _PRIVATE, (b"X-Forwarded-For: 127.0.0.1", b"Forwarded: for=127.0.0.1")),
            ("a longer prefix", b"GET /api/emailx HTTP/1.1", ()),
            ("other letters", b"GET /API/email/x HTTP/1.1", ()),
            ("an authority for a path", b"GET //gw/api/email/x HTTP/1.1", ()),
            ("absolute form without a path", b"GET http://gw HTTP/1.1", ()),
            ("absolute form with a query only", b"GET http://gw?/api/email/x HTTP/1.1", ()),
        )
    ]
    + [
        Refused(f"with a bad token: {name}", request(_PRIVATE, _CLOSE, *fields), 401, "token_invalid")
        for name, fields in (
            ("two of them", (b"Authorization: Bearer a.b.c", b"Authorization: Bearer a.b.c")),
            ("a list of them", (b"Authorization: Bearer a.b.c, Bearer a.b.c",)),
            ("another scheme", (b"Authorization: Basic eDp5",)),
            ("Connection names it", (b"Connection: Authorization", b"Authorization: Bearer a.b.c")),
        )
    ]
    + [
        Refused(
            f"method {method.decode()}", request(method + b" /api/email/x HTTP/1.1", _CLOSE), 405, "method_not_allowed"
        )
        for method in (b"TRACE", b"SOURCE", b"PROPFIND")
    ]
)

_EXPECTATIONS = [
    Refused(f"expectation {value!r}", post(b"Expect: " + value, b"Content-Length: 1", body=b"a"))
    for value in (
        b"200-ok",
        b"",
        b"100-continue, x",
        b"100-continue;q=1",
        b"<script>",
        b"100-continue\x0b",
        b"100 continue",
        b'"100-continue"',
        b"y 100-continue",
        b"100-continue, 100-continue",
    )
] + [
    Refused(
        "expectation twice", post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 1", body=b"a")
    )
]

_SIZES = [
    Refused("body too large", post(b"Content-Length: 1048577", body=b"a"), 413, "body_too_large"),
    Refused("body too large, a request in it", post(b"Content-Length: 9999999", body=_SECOND), 413, "body_too_large"),
    Refused("body as large as can be", post(b"Content-Length: " + b"9" * 18, body=_SECOND), 413, "body_too_large"),
    Refused(
        "body too large, expecting to be asked for",
        post(b"Content-Length: 1048577", b"Expect: 100-continue"),
        413,
        "body_too_large",
    ),
    Refused(
        "trailers above their limit",
        chunks(b"0\r\n" + b"X: aaaaaaaaaaaaa\r\n" * 600 + b"\r\n"),
        431,
        "headers_too_large",
    ),
    Refused(
        "extension and trailers above their limit",
        chunks(b"0;" + b"a" * 8_000 + b"\r\n" + b"X: a\r\n" * 50 + b"\r\n"),
        431,
        "headers_too_large",
    ),
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
    *_LINES, *_LENGTHS, *_CODINGS, *_CHUNKS, *_BODIES, *_VERSIONS, *_TARGETS, *_METHODS, *_HOSTS, *_VALUES, *_UPGRADES,
    *_CALLERS, *_EXPECTATIONS, *_SIZES,
]  # fmt: skip

_PLAIN = [
    Forwarded("a plain request", request()),
    Forwarded("two spaces in the request line", request(b"GET  /api/email/x HTTP/1.1")),
    Forwarded("CRLF before it", b"\r\n" + request()),
    Forwarded("bare LF before it", b"\n" + request()),
    Forwarded("bare CR before it", b"\r" + request()),
    Forwarded("several CRLF before it", b"\r\n" * 5 + request()),
    Forwarded("HTTP/1.0 without a host", b"GET /api/email/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    Forwarded("absolute form of the same host", get(b"http://gw/api/email/x")),
    Forwarded(
        "absolute form in other letters", request(b"GET HTTP://GW/api/email/x?y HTTP/1.1"), (b"GET /api/email/x?y",)
    ),
    Forwarded("absolute form by TLS", get(b"https://gw/api/email/x")),
    Forwarded("host an address", request(host=b"Host: 127.0.0.1:1\r\n"), fields=(b"X-Forwarded-Host: 127.0.0.1:1",)),
    Forwarded("host with a dot behind it", request(host=b"Host: gw.\r\n"), fields=(b"X-Forwarded-Host: gw.",)),
    Forwarded("host without a space", request(host=b"host:gw\r\n"), fields=(b"X-Forwarded-Host: gw",)),
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
        b"/api/email/Admin", b"/api/email/;..;/x", b"/api/email/...;/x", b"/api/email/%ff%fe", b"/api/email/..%ff/x",
        b"/api/email/%ef%bc%8e%ef%bc%8e/x", b"/api/email/%e2%80%a5/x", b"/api/email/<script>",
        b"/api/email/%2b+%20", b"/api/email/x?a=%2F..%2f&b=/../", b"/api/email/x?http://other/",
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
        "trailers stay where they are",
        chunks(b"5\r\nhello\r\n0\r\nX-Sum: 2\r\nx-sum:1 \r\nEmpty:\r\n\r\n"),
        _POST,
        never=(b"X-Sum", b"Empty"),
        body=b"5\r\nhello\r\n0\r\nX-Sum: 2\r\nx-sum: 1\r\nEmpty: \r\n\r\n",
    ),
    *[
        Forwarded(
            f"trailer {name.decode()} is dropped",
            chunks(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n" + name + b": root\r\n\r\n"),
            _POST,
            never=(b"root",),
            body=b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        )
        for name in (
            b"X-User-ID",
            b"X_User_ID",
            b"X-Forwarded-For",
            b"Host",
            b"Authorization",
            b"Cookie",
            b"Content-Type",
            b"Content_Length",
            b"Connection",
            b"Upgrade",
            b"Expect",
            b"TE",
            b"Range",
            b"traceparent",
            b"Proxy",
        )
    ],
    Forwarded(
        "trailer that Connection names is dropped",
        post(CHUNKED, b"Connection: X-Hop", b"Trailer: X-Sum, X-Hop", body=b"0\r\nX-Hop: 1\r\nX-Sum: 1\r\n\r\n"),
        _POST,
        (b"Trailer: X-Sum",),
        never=(b"X-Hop",),
        body=b"0\r\nX-Sum: 1\r\n\r\n",
    ),
    Forwarded(
        "trailers that are announced and cannot come",
        post(CHUNKED, b"Trailer: Content-Length, Host,, X Y", body=b"0\r\n\r\n"),
        _POST,
        never=(b"Trailer",),
        body=b"0\r\n\r\n",
    ),
    Forwarded(
        "chunk size in capitals", chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), _POST, body=b"a\r\n0123456789\r\n0\r\n\r\n"
    ),
    Forwarded(
        "chunk size of 300 zeros", chunks(b"0" * 300 + b"1\r\na\r\n0\r\n\r\n"), _POST, body=b"1\r\na\r\n0\r\n\r\n"
    ),
    Forwarded(
        "chunk extension of 20 kB",
        chunks(b"1;" + b"a" * 20_000 + b"\r\na\r\n0\r\n\r\n"),
        _POST,
        body=b"1\r\na\r\n0\r\n\r\n",
    ),
    Forwarded(
        "chunk extensions without words", chunks(b"1;;=;a=\r\na\r\n0\r\n\r\n"), _POST, body=b"1\r\na\r\n0\r\n\r\n"
    ),
    Forwarded(
        "chunk extension with a quoted quote",
        chunks(b'1;a="b\\"c"\r\na\r\n0\r\n\r\n'),
        _POST,
        body=b"1\r\na\r\n0\r\n\r\n",
    ),
    Forwarded(
        "length of 18 digits",
        post(b"Content-Length: 000000000000000005", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        body=b"hello",
    ),
    Forwarded(
        "dotted framing is dropped",
        post(b"Transfer.Encoding: chunked", b"Content.Length: 9", b"Content-Length: 5", body=b"hello"),
        _POST,
        (b"Content-Length: 5",),
        never=(b"Transfer", b"Content."),
        body=b"hello",
    ),
    Forwarded(
        "expectation of HTTP/1.0",
        request(
            b"POST /api/email/x HTTP/1.0",
            b"Connection: keep-alive",
            b"Expect: 100-continue",
            b"Content-Length: 1",
            body=b"a",
        ),
        _POST,
        never=(b"Expect",),
        body=b"a",
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
        "Connection names everything",
        post(
            b"Connection: Host, Authorization, Cookie, X-User-ID, Content-Length, Transfer-Encoding, X-Request-ID, Via",
            b"Cookie: a",
            b"Content-Length: 5",
            body=b"hello",
        ),
        _POST,
        (b"Content-Length: 5", b"X-Forwarded-Host: gw", b"Via: 1.1 gatewayd"),
        never=(b"Cookie",),
        body=b"hello",
    ),
    Forwarded(
        "Connection of no words",
        request(GET, b'Connection: "X-A", @, \xff, X-B', b"X-A: 1", b"X-B: 1"),
        fields=(b"X-A: 1",),
        never=(b"X-B",),
    ),
    Forwarded(
        "Connection of 3,000 words",
        request(GET, b"Connection: x" + b",x" * 3_000, b"X: 1", b"Y: 1"),
        fields=(b"Y: 1",),
        never=(b"X: 1",),
    ),
    Forwarded(
        "a proxy for the agent's own calls",
        request(GET, b"Proxy: http://evil", b"pROXY: http://evil", b"Proxy-Authenticate: evil"),
        never=(b"evil",),
    ),
    Forwarded(
        "what frameworks may obey is the agent's to judge",
        request(GET, b"X-Original-URL: /admin", b"X-HTTP-Method-Override: DELETE", b"Max-Forwards: 0", b"Via: 1.0 a"),
        fields=(
            b"X-Original-URL: /admin",
            b"X-HTTP-Method-Override: DELETE",
            b"Max-Forwards: 0",
            b"Via: 1.0 a, 1.1 gatewayd",
        ),
    ),
    Forwarded(
        "two tokens on a public route",
        request(GET, b"Authorization: Bearer a", b"Authorization: Bearer b"),
        never=(b"Bearer",),
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
        "fifty in one segment",
        b"".join(get(b"/api/email/%d" % number) for number in range(50)),
        tuple(b"GET /api/email/%d" % number for number in range(50)),
    ),
    Forwarded(
        "one behind a sized body",
        post(b"Content-Length: 5", body=b"hello") + get(b"/api/email/y"),
        (*_POST, b"GET /api/email/y"),
        body=b"hello",
    ),
    Forwarded(
        "one behind a length of zero",
        post(b"Content-Length: 0") + get(b"/api/email/y"),
        (*_POST, b"GET /api/email/y"),
    ),
    Forwarded(
        "one behind a GET with a body",
        request(GET, b"Content-Length: 5", body=b"hello") + get(b"/api/email/y"),
        (b"GET /api/email/x", b"GET /api/email/y"),
        body=b"hello",
    ),
    Forwarded(
        "HTTP/1.0 kept alive",
        request(b"GET /api/email/x HTTP/1.0", b"Connection: keep-alive") + get(b"/api/email/y"),
        (b"GET /api/email/x", b"GET /api/email/y"),
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
    *[
        Forwarded(
            f"websocket {name}",
            request(GET, b"Connection: Upgrade", b"Upgrade: websocket", *fields),
            fields=(*fields, b"Upgrade: websocket"),
        )
        for name, fields in (
            ("of version 99", (b"Sec-WebSocket-Version: 99", b"Sec-WebSocket-Key: eA==")),
            ("without a key", (b"Sec-WebSocket-Version: 13",)),
            ("with a key that is none", (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: <>")),
            ("with two keys", (b"Sec-WebSocket-Key: eA==", b"Sec-WebSocket-Key: eB==")),
        )
    ],
    Forwarded(
        "websocket in other letters",
        request(GET, b"connection: keep-alive, UPGRADE, Host", b"upgrade: WebSocket"),
        fields=(b"Connection: Upgrade", b"Upgrade: websocket"),
    ),
    Forwarded(
        "what an upgrade leaves behind when it is declined",
        request(GET, *WEBSOCKET) + get(b"/api/email/y"),
        (b"GET /api/email/x", b"GET /api/email/y"),
        fields=(b"Upgrade: websocket",),
    ),
]

FORWARDED: list[Forwarded] = [*_PLAIN, *_SAME_BYTES, *_FRAMED, *_SPOOFED, *_PIPELINED]
