"""The structure of the two packages: names that occur once, modules of a readable size, and no import circle."""

import pytest

from benchmarks.structure import ROOT, Checkout

LONGEST = 350
SHARE_OF_SMALL_MODULES = 0.2


@pytest.fixture(scope="module")
def checkout() -> Checkout:
    return Checkout(folder=ROOT)


def test_no_module_name_occurs_twice(checkout: Checkout) -> None:
    """The name of a module, without its package, says which one is meant."""
    assert checkout.repeated_module_names() == []


def test_no_public_class_name_occurs_twice(checkout: Checkout) -> None:
    """A class name has one meaning in the whole project."""
    assert checkout.repeated_class_names() == []


def test_every_module_is_short_enough_to_read(checkout: Checkout) -> None:
    """No module is longer than can be read in one sitting."""
    assert [str(one.path) for one in checkout.modules if one.lines > LONGEST] == []


def test_few_modules_are_small(checkout: Checkout) -> None:
    """At most a fifth of the modules has so little code that its user could hold it."""
    small = checkout.small_modules()

    assert len(small) <= SHARE_OF_SMALL_MODULES * len(checkout.modules), small


def test_there_is_no_import_circle(checkout: Checkout) -> None:
    """Every module can be read after those that it imports."""
    assert checkout.circles() == []
