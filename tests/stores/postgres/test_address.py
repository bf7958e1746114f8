import psycopg2
import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.postgres.address import in_words, lasts, located, reason


@pytest.mark.parametrize(
    ("rest", "name"),
    [
        pytest.param("//u:s3cret@db.example:5433/ledger", "postgresql://db.example:5433/ledger", id="whole"),
        pytest.param("//u:s3cret@/ledger?host=/run/pg", "postgresql:///run/pg/ledger", id="socket"),
        pytest.param("//u:s3cret@[::1]/", "postgresql://::1/u", id="the user's own database"),
        pytest.param("//db/ledger?password=s3cret", "postgresql://db/ledger", id="password as parameter"),
    ],
)
def test_an_address_is_named_without_its_password(rest: str, name: str) -> None:
    address = located(rest)
    assert address.name == name
    assert address.parameters["password" if "s3cret" in rest else "host"]
    assert "s3cret" not in repr(address)


def test_an_address_may_say_otherwise_than_the_defaults() -> None:
    parameters = located("//db/ledger?application_name=north&client_encoding=LATIN1").parameters
    assert (parameters["application_name"], parameters["client_encoding"]) == ("north", "UTF8")
    assert located("//db/ledger").parameters["application_name"] == "gatewayd"


@pytest.mark.parametrize(
    "rest",
    [
        "//u:s3cret/x@db/ledger",
        "//u:1/s3cret@db/ledger",
        "u:s3cret@db/ledger",
        "",
        "//u:s3cret%zz@db/ledger",
        "//u:s3cret@db/l?s3cret=1",
        "//u:s3cret\0@db/x",
        "//\ud800",
    ],
    ids=[
        "bare slash",
        "bare slash after a number",
        "no slashes",
        "empty",
        "bad escape",
        "no such parameter",
        "NUL",
        "surrogate",
    ],
)
def test_what_is_no_address_is_refused_without_a_quotation(rest: str) -> None:
    with pytest.raises(StoreError, match="write postgresql://USER") as refused:
        located(rest)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("error", "for_good"),
    [
        pytest.param(
            psycopg2.OperationalError('FATAL:  password authentication failed for "u"\n'), True, id="password"
        ),
        pytest.param(psycopg2.OperationalError('FATAL:  database "x" does not exist\n'), True, id="database"),
        pytest.param(psycopg2.OperationalError("connection refused"), False, id="refused"),
        pytest.param(TimeoutError("no answer"), False, id="silence"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_an_error_that_only_people_mend_is_told_apart(error: Exception | None, for_good: bool) -> None:
    assert lasts(error) is for_good


def test_an_error_is_told_in_one_line_with_the_way_out() -> None:
    error = psycopg2.OperationalError("first line\nsecond line")
    assert str(in_words(located("//db/ledger"), error)) == (
        "ledger postgresql://db/ledger cannot be used (first line): start it, or correct ledger.url"
    )
    assert reason(psycopg2.OperationalError()) == "OperationalError"
