from gatewayd.config.shape import REQUIRED, Invalid, ListOf, Scalar, SecretFrom


def test_a_refusal_says_what_and_how_to_mend_it() -> None:
    error = Invalid("is not a rate", "write 60/minute")
    assert (str(error), error.hint) == ("is not a rate", "write 60/minute")


def test_kinds_are_named_for_the_reference() -> None:
    assert ListOf(Scalar("rate", str)).name == "list, each item a rate"
    assert SecretFrom().name == "secret"
    assert repr(REQUIRED) == "required"


def test_a_secret_is_not_checked_unless_its_kind_says_so() -> None:
    assert SecretFrom().check("anything") is None  # type: ignore[func-returns-value]
