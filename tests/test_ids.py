"""What a request is called by is nobody else's name, in any process."""

import os

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.ids import new_request_id


def test_request_ids_are_32_hex_digits_and_unique_over_100000() -> None:
    ids = {new_request_id(1_764_000_000.0)[0] for _ in range(100_000)}
    assert len(ids) == 100_000
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in list(ids)[:1000])


def test_request_ids_sort_by_time() -> None:
    times = [1.0, 1_763_999_999.999, 1_764_000_000.0, 1_764_000_000.001, 1_764_000_001.0, 2_000_000_000.0, 9e9]
    ids = [new_request_id(utc)[0] for utc in times]
    assert ids == sorted(ids)


@given(st.lists(st.floats(0, 2**37), max_size=20))
def test_an_id_begins_with_its_milliseconds_whatever_was_asked_before(times: list[float]) -> None:
    for utc in times:
        assert int(new_request_id(utc)[0][:12], 16) == int(utc * 1000)


def test_spans_are_sixteen_digits_and_no_two_are_alike() -> None:
    spans = {new_request_id(1_764_000_000.0)[1] for _ in range(10_000)}
    assert len(spans) == 10_000
    assert {len(span) for span in spans} == {16}


def test_no_two_processes_draw_the_same_chance() -> None:
    new_request_id(1.0)  # so that there is something to inherit
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, new_request_id(1.0)[0].encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 32).decode() != new_request_id(1.0)[0]
    os.close(reader)
    os.close(writer)
