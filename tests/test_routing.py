import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.errors import BadRequest
from gatewayd.framing import read_target
from gatewayd.routing import Route, RouteTable

UNKNOWN = Route("", "")
SEGMENTS = st.sampled_from(["a", "b", "ab", ""])
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts))


def table(*prefixes: str, exact: tuple[str, ...] = ()) -> RouteTable:
    own = {path: Route("", path, own=True) for path in exact}
    return RouteTable([Route(prefix, prefix) for prefix in prefixes], own, UNKNOWN)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/email", "/api/email"),
        ("/api/email/", "/api/email"),
        ("/api/email/a/b/c/d", "/api/email"),
        ("/api/email/admin", "/api/email/admin"),
        ("/api/email/admin/x", "/api/email/admin"),
        ("/api/email/administrator", "/api/email"),
        ("/api/emails", ""),
        ("/api", ""),
        ("/", ""),
        ("/API/email", ""),
        ("//api/email", ""),
        ("/x/api/email", ""),
    ],
)
def test_the_longest_prefix_that_ends_with_a_segment_wins(path: str, expected: str) -> None:
    assert table("/api/email", "/api/email/admin", "/api/rag/").match(path).prefix == expected


def test_a_prefix_may_end_with_a_slash_or_be_all_there_is() -> None:
    assert table("/api/rag/").match("/api/rag/x").prefix == "/api/rag/"
    assert table("/").match("/anything/at/all").prefix == "/"
    assert table("/", "/a").match("/a/b").prefix == "/a"


def test_the_gateways_own_paths_come_before_every_route() -> None:
    routes = table("/", exact=("/health",))
    assert routes.match("/health").own
    assert routes.match("/health/").prefix == "/"


def test_without_routes_every_path_is_unknown() -> None:
    assert table().match("/a/b") is UNKNOWN


@given(st.sets(PATHS, max_size=6), PATHS)
def test_a_match_is_what_trying_every_prefix_finds(prefixes: set[str], path: str) -> None:
    unique = {prefix.rstrip("/"): prefix for prefix in prefixes}
    fitting = [stripped for stripped in unique if path == stripped or path.startswith(stripped + "/")]
    expected = unique[max(fitting, key=len)] if fitting else ""
    assert table(*unique.values()).match(path).prefix == expected


@pytest.mark.parametrize(
    "raw",
    ["/api/email/%61dmin", "/api/email//admin", "/api/email/%2fadmin/x", "/api/email/admin;x", "/api/email/admin%2f",
     "/api/email/%2561dmin", "/api//email", "/api%2femail", "/%68ealth", "//health", "/api/email%3b/x", "/api/rag%5cx"],
)  # fmt: skip
def test_a_path_that_reads_as_another_route_once_decoded_is_refused(raw: str) -> None:
    routes = table("/api/email", "/api/email/admin", "/api/rag", exact=("/health",))
    with pytest.raises(BadRequest):
        routes.resolve(read_target(raw, None))


@pytest.mark.parametrize(
    "raw", ["/api/email/%41", "/api/email//x", "/api/email/a%2fb", "/api/email/x;y", "/api/email?/../"]
)
def test_a_path_that_stays_in_its_route_is_routed(raw: str) -> None:
    assert table("/api/email", "/api/email/admin").resolve(read_target(raw, None)).prefix == "/api/email"


@given(
    st.lists(st.sampled_from(["/", "api", "email", "admin", "%2f", "%61", "a", ";", "%5c", "%20", "%25"])).map("".join)
)
def test_no_spelling_of_a_path_reaches_two_routes(tail: str) -> None:
    routes = table("/api/email", "/api/email/admin")
    try:
        target = read_target("/api/email/" + tail, None)
        route = routes.resolve(target)
    except BadRequest:
        return
    assert route is routes.match(target.path) is routes.match(target.seen)


def test_a_rule_is_found_by_its_type() -> None:
    route = Route.with_rules("email", "/api/email", [3, None, "three"])
    assert (route.rule(int), route.rule(str), route.rule(float)) == (3, "three", None)
    assert Route("", "").rule(int) is None
