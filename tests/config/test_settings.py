import pickle

from gatewayd.config.settings import Address, Secret


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("hunter2", "the variable X")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"


def test_secrets_are_equal_by_value_wherever_they_came_from() -> None:
    assert Secret("a", "here") == Secret("a", "there")
    assert hash(Secret("a", "here")) == hash(Secret("a", "there"))
    assert Secret("a", "here") != Secret("b", "here")
    assert Secret("a", "here") != "a"


def test_a_secret_reaches_another_process_whole() -> None:
    copy = pickle.loads(pickle.dumps(Secret("hunter2", "the variable X")))
    assert (copy.reveal(), copy.source) == ("hunter2", "the variable X")


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    assert str(Address("tcp", "::1", 80)) == "[::1]:80"
