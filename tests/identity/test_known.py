"""What is known grows by pages, and a copy of it does not."""

from gatewayd.identity.known import KnownDirectory
from gatewayd.model import Directory, DirectoryPage, Revocation


def test_pages_add_up_and_the_later_one_holds() -> None:
    known = KnownDirectory()
    known.add(DirectoryPage(0, 3, {"ann": "free", "bob": "free"}, (Revocation("all", "", 1.0),), more=True))
    known.add(DirectoryPage(3, 5, {"ann": "gold"}, (Revocation("all", "", 2.0),)))
    assert known.as_it_stands() == Directory(5, {"ann": "gold", "bob": "free"}, (Revocation("all", "", 2.0),))


def test_a_copy_stays_as_it_was() -> None:
    known = KnownDirectory({"ann": "free"}, [Revocation("token", "x", 0.0)])
    copy = known.as_it_stands()
    known.add(DirectoryPage(0, 1, {"ann": "gold"}, (Revocation("token", "y", 0.0),)))
    assert copy == Directory(0, {"ann": "free"}, (Revocation("token", "x", 0.0),))
