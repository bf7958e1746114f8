"""Units by account. Arithmetic only."""

from gatewayd.model import Account


class Amounts(dict[Account, int]):
    """Of an account that is not there, 0.

    A `Counter` says the same, but has a function of Python's for deleting, and with it CPython asks for one at each
    assignment too: eight times a dictionary's own.
    """

    def __missing__(self, account: Account) -> int:
        return 0
