import string
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewayd.errors import BadRequest, HeadersTooLarge, VersionUnsupported
from gatewayd.framing import HOP_BY_HOP, OWNED, Head, Version, check_line, line_size, read_head, read_target

HOST = (b"Host", b"gw")
PATHS = st.lists(
    st.sampled_from(
        ["/", "//", "a", "b", ".", "..", "%2e", "%2E", "%252e", "%2525252e", "%2f", "%5c", "\\", ";", ";a=b", "%3b",
         "?", "#", "%00", "%", "%zz", "%c0%ae", "%20", " ", "é", "\0", "\x7f", "http://", "gw", "*", ":", "%25", "%41"]
    )
).map("".join)  # fmt: skip
RAW = st.one_of(st.text(max_size=40), PATHS, PATHS.map("/".__add__))


def head(*fields: tuple[bytes, bytes], version: Version = (1, 1), limit: int = 1000) -> Head:
    return read_head((HOST, *fields), version, limit)


def copied(found: Head) -> list[tuple[bytes, bytes]]:
    """The names and values of what goes on to the agent."""
    return [(name, value) for name, _, value in [line.partition(b": ") for line in found.lines]]


# The request line


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0), (11, 1)])
def test_only_two_versions_are_spoken(version: Version) -> None:
    with pytest.raises(VersionUnsupported):
        check_line("GET", "/", version)


@pytest.mark.parametrize(("method", "target"), [("CONNECT", "gw:80"), ("CONNECT", "/"), ("OPTIONS", "*")])
def test_what_is_no_request_for_a_path_is_refused_before_anybody_answers(method: str, target: str) -> None:
    with pytest.raises(BadRequest):
        check_line(method, target, (1, 1))


def test_an_ordinary_line_is_none_of_these() -> None:
    check_line("GET", "/", (1, 1))
    check_line("OPTIONS", "/", (1, 0))


def test_a_line_and_its_fields_are_all_that_a_head_has() -> None:
    raw = b"POST /a?b HTTP/1.1\r\nHost: gw\r\nX: y\r\n\r\n"
    assert line_size("POST", "/a?b") + len(b"Host: gw\r\nX: y\r\n") == len(raw)


# The header section


def test_fields_keep_their_order_their_repeats_and_their_letters() -> None:
    fields = [(b"X-b", b"2"), (b"x-A", b"1"), (b"X-b", b"\xff"), (b"X-c", b"")]
    assert copied(head(*fields)) == fields


@pytest.mark.parametrize(
    "name", sorted((HOP_BY_HOP - {b"transfer-encoding"}) | OWNED | {b"via", b"authorization", b"tracestate", b"proxy"})
)
def test_what_is_ours_to_say_is_never_copied_however_it_is_spelled(name: bytes) -> None:
    twins = {name.replace(b"-", bytes([code])) for code in b"_.~|!"} - {name}
    found = head((name.title(), b"1"), (name, b"2"), *[(twin, b"3") for twin in twins])
    assert not copied(found)
    assert found.named[name] == [b"1", b"2"]


@pytest.mark.parametrize("name", [b"Transfer_Encoding", b"Content.Length", b"transfer~encoding"])
def test_framing_in_another_spelling_frames_nothing(name: bytes) -> None:
    found = head((name, b"chunked"))
    assert (copied(found), found.has_body) == ([], False)


def test_names_that_only_look_alike_are_copied() -> None:
    fields = [(b"X-User-IDs", b"1"), (b"XUserID", b"2"), (b"X-User--ID", b"3"), (b"Content-Length-X", b"4")]
    assert copied(head(*fields)) == fields


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
@pytest.mark.parametrize("name", [b"X", b"Via", b"X_User_ID", b"Authorization"])
def test_no_value_has_a_control_character(name: bytes, code: int) -> None:
    with pytest.raises(BadRequest):
        head((name, b"a%cb" % code))


def test_a_section_may_be_as_large_as_its_limit() -> None:
    size = len(b"Host: gw\r\nX: y\r\n")
    assert head((b"X", b"y"), limit=size)
    with pytest.raises(HeadersTooLarge):
        head((b"X", b"y"), limit=size - 1)


@pytest.mark.parametrize(
    "hosts",
    [[], [b""], [b"gw", b"gw"], [b"u@gw"], [b"gw/x"], [b"a,b"], [b"a b"], [b"gw:x"], [b"gw:123456"], [b"[::1"],
     [b"::1"], [b"gw%00"], [b"\xc3\xa9"], [b"gw\n"], [b"gw\0"], [b"[gw]"], [b"[::1]]"]],
)  # fmt: skip
def test_a_host_is_there_once_and_valid(hosts: list[bytes]) -> None:
    with pytest.raises(BadRequest):
        read_head([(b"Host", host) for host in hosts], (1, 1), 1000)


@pytest.mark.parametrize("host", [b"gw", b"gw:80", b"gw:", b"10.0.0.1:8080", b"[::1]", b"[::1]:80", b"my_gw.test"])
def test_a_valid_host_is_kept(host: bytes) -> None:
    assert read_head([(b"hOST", host)], (1, 1), 1000).only(b"host") == host


def test_only_http_1_0_may_do_without_a_host() -> None:
    assert read_head([], (1, 0), 1000).only(b"host") is None


CHUNKED = (b"Transfer-Encoding", b"chunked")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([CHUNKED, CHUNKED], id="coding twice"),
        pytest.param([CHUNKED, (b"Content-Length", b"1")], id="coding and length"),
        *(pytest.param([(b"Transfer-Encoding", each)], id=repr(each))
          for each in (b"", b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked;q=1", b"xchunked",
                       b",chunked")),
        *(pytest.param([(b"Content-Length", each)], id=repr(each))
          for each in (b"", b"+1", b"-1", b"0x1", b"1 1", b"1,1", b"1_0", b"1.0", b"\xb2", b"9" * 19)),
        pytest.param([(b"Content-Length", b"1"), (b"Content-Length", b"1")], id="length twice"),
        *(pytest.param([(b"Expect", each)], id=repr(each)) for each in (b"", b"200-ok", b"100-continue, x")),
        pytest.param([(b"Expect", b"100-continue"), (b"Expect", b"100-continue")], id="expectation twice"),
    ],
)  # fmt: skip
def test_framing_that_could_be_read_in_two_ways_is_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadRequest):
        head(*fields)


def test_a_coding_is_refused_in_http_1_0() -> None:
    with pytest.raises(BadRequest):
        head(CHUNKED, version=(1, 0))


def test_framing_is_read() -> None:
    assert (head().has_body, head().content_length, head().chunked) == (False, None, False)
    sized = head((b"content-length", b"0012"))
    assert (sized.has_body, sized.content_length, sized.chunked) == (True, 12, False)
    chunked = head((b"transfer-encoding", b" Chunked\t"))
    assert (chunked.has_body, chunked.content_length, chunked.chunked) == (True, None, True)
    assert not head((b"Content-Length", b"0")).has_body


@pytest.mark.parametrize(
    ("fields", "version", "expected"),
    [
        pytest.param([(b"Content-Length", b"1")], (1, 1), True, id="a body"),
        pytest.param([CHUNKED], (1, 1), True, id="chunks"),
        pytest.param([], (1, 1), False, id="no body"),
        pytest.param([(b"Content-Length", b"1")], (1, 0), False, id="HTTP/1.0"),
    ],
)
def test_100_is_expected_by_who_has_something_to_send(
    fields: list[tuple[bytes, bytes]], version: Version, expected: bool
) -> None:
    assert head((b"Expect", b"100-Continue"), *fields, version=version).expects_continue is expected


@pytest.mark.parametrize("value", [b"Upgrade", b"keep-alive, UPGRADE", b",\tupgrade ,"])
def test_a_websocket_upgrade_is_noted(value: bytes) -> None:
    assert head((b"Connection", value), (b"Upgrade", b"WebSocket")).upgrade == "websocket"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"Upgrade", b"h2c")], id="h2c"),
        pytest.param([(b"Upgrade", b"")], id="nothing"),
        pytest.param([(b"Upgrade", b"websocket, h2c")], id="a list"),
        pytest.param([(b"Upgrade", b"websocket"), (b"Upgrade", b"websocket")], id="twice"),
        pytest.param([(b"Upgrade", b"websocket"), (b"Content-Length", b"1")], id="a body"),
        pytest.param([(b"Upgrade", b"websocket"), CHUNKED], id="chunks"),
    ],
)
def test_no_other_upgrade_is_ignored(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadRequest):
        head((b"Connection", b"upgrade"), *fields)


def test_http_1_0_knows_no_upgrade() -> None:
    with pytest.raises(BadRequest):
        head((b"Connection", b"upgrade"), (b"Upgrade", b"websocket"), version=(1, 0))


def test_an_upgrade_that_connection_does_not_name_is_none() -> None:
    assert head((b"Upgrade", b"h2c")).upgrade is None
    assert head((b"Connection", b"upgrade")).upgrade is None


def test_what_connection_names_is_not_copied() -> None:
    found = head(
        (b"Connection", b"X-A, close"), (b"Connection", b" x-b,,"), (b"x-a", b"1"), (b"X-B", b"2"), (b"X-C", b"3")
    )
    assert copied(found) == [(b"X-C", b"3")]
    assert found.hops == {b"x-a", b"x-b"}


def test_a_field_sent_twice_has_no_one_value() -> None:
    found = head((b"X-Request-ID", b"a"), (b"x-request-id", b"b"), (b"traceparent", b"c"))
    assert (found.only(b"x-request-id"), found.only(b"traceparent"), found.only(b"via")) == (None, b"c", None)


NAMES = st.one_of(
    st.sampled_from(
        [b"Host", b"Connection", b"Upgrade", b"Transfer-Encoding", b"Content-Length", b"Expect", b"X_User_ID", b"X"]
    ),
    st.binary(max_size=12),
)
VALUES = st.one_of(
    st.sampled_from([b"gw", b"chunked", b"upgrade", b"websocket", b"0", b"5", b"x, upgrade", b"100-continue"]),
    st.binary(max_size=12),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.sampled_from([(1, 0), (1, 1)]))
def test_any_header_section_is_sorted_or_refused(fields: list[tuple[bytes, bytes]], version: Version) -> None:
    try:
        found = read_head(fields, version, 200)
    except (BadRequest, HeadersTooLarge):
        return
    assert [each for each in fields if each in copied(found)] == copied(found)
    assert not {name.lower() for name, _ in copied(found)} & (HOP_BY_HOP | OWNED)
    assert not (found.chunked and found.content_length is not None)
    assert not (found.upgrade and found.has_body)


# The target


@pytest.mark.parametrize(
    "raw",
    ["/", "/a", "/a/", "/a//b", "/a?b?c", "/?", "/a%2fb", "/%41", "/%E4", "/...", "/..a", "/a..", "/.a", "/a;b", "/a|b",
     "/%25", "/%252f", "/%2525", "/a?../%zz%00", "/a?http://x/..", "//a", "/a%20b", "/a%0ab"],
)  # fmt: skip
def test_a_target_is_split_and_nothing_in_it_is_changed(raw: str) -> None:
    target = read_target(raw, b"gw")
    assert target.path + target.query == raw
    assert "?" not in target.path


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("/a/b", "/a/b"), ("/%61", "/a"), ("/%2561", "/a"), ("/a//b", "/a/b"), ("/a%2fb", "/a/b"), ("/a%5cb", "/a/b"),
        ("/a%252fb", "/a/b"), ("/a;x/b", "/a/b"), ("/a/;/b", "/a/b"), ("/a%3bx/b", "/a/b"), ("/a%3fx/b", "/a/b"),
        ("/a%20/b", "/a/b"), ("/a/%09", "/a/"), ("/a;/", "/a/"), ("//", "/"), ("/;", "/"), ("/%e4", "/\xe4"),
    ],
)  # fmt: skip
def test_a_path_is_seen_as_the_most_lenient_server_would(raw: str, seen: str) -> None:
    assert read_target(raw, None).seen == seen


@pytest.mark.parametrize("dots", [".", ".."])
@pytest.mark.parametrize("layers", range(8))
@pytest.mark.parametrize(
    "form", ["/{}", "/{}/x", "/x/{}", "/x/{}/y", "/x%2f{}", "/x%5c{}", "//{}", "/x/{};a", "/x/{}%3b", "/x/%20{}"]
)
def test_dot_segments_are_refused_however_often_they_are_encoded(dots: str, layers: int, form: str) -> None:
    encoded = dots
    for layer in range(layers):
        encoded = encoded.replace("%", "%25") if layer else encoded.replace(".", "%2e")
    with pytest.raises(BadRequest):
        read_target(form.format(encoded), None)


@pytest.mark.parametrize(
    "raw",
    ["", "a", "*", "?", "gw:80", "/a b", "/a#b", "/a?b#c", "/a\\b", "/\x7f", "/\0", "/é", "/\udcff", "/%", "/%a",
     "/%g0", "/%00", "/%2500", "/%252500", "/%c0%ae", "/%c1%9c", "/%e0%80%af", "/%f0%80%80%af", "/%2525252541"],
)  # fmt: skip
def test_a_target_that_is_no_plain_path_is_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        read_target(raw, b"gw")


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("http://gw/a?b", "/a", "?b"), ("HTTP://GW/a", "/a", ""), ("https://gw/a", "/a", ""),
        ("http://gw", "/", ""), ("http://gw?b", "/", "?b"),
    ],
)  # fmt: skip
def test_absolute_form_for_the_same_host_is_its_path(raw: str, path: str, query: str) -> None:
    target = read_target(raw, b"gw")
    assert (target.path, target.query) == (path, query)


@pytest.mark.parametrize(
    "raw",
    ["http://other/a", "http://gw:80/a", "http://u@gw/a", "http://gw@other/a", "http:///a", "http:/a", "ftp://gw/a", "http://gw/../a"],
)  # fmt: skip
def test_absolute_form_for_anything_else_is_refused(raw: str) -> None:
    with pytest.raises(BadRequest):
        read_target(raw, b"gw")


def test_absolute_form_without_a_host_to_compare_is_refused() -> None:
    with pytest.raises(BadRequest):
        read_target("http://gw/a", None)


@given(RAW, st.sampled_from([None, b"gw", b"\xff"]))
@example("/" + "%25" * 5000 + "2e", None)
@example("/" + "/a" * 5000 + "/", None)
@example("/" + "a.;" * 5000 + "\\", None)
def test_any_target_is_kept_byte_for_byte_or_refused(raw: str, host: bytes | None) -> None:
    try:
        target = read_target(raw, host)
    except BadRequest:
        return
    assert raw.endswith(target.path + target.query) or target.path == "/"
    assert set(target.path + target.query) <= set(string.ascii_letters + string.digits + string.punctuation)
    decoded = target.path
    for _ in range(12):
        assert not {".", ".."} & set(decoded.replace("\\", "/").split("/"))
        decoded = unquote(decoded, "latin-1")
    assert target.seen.startswith("/")
    assert "%" not in target.seen or unquote(target.seen) == target.seen
