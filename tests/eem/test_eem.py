"""What the package offers to those who embed it."""

import pytest

from webhook import eem
from webhook.eem.eem_snapshot import EemSnapshot


def test_the_snapshot_is_there_when_it_is_asked_for() -> None:
    """It is imported then, and not before."""
    assert eem.EemSnapshot is EemSnapshot


def test_every_name_that_is_promised_is_there() -> None:
    """`__all__` tells the truth."""
    assert [name for name in eem.__all__ if not hasattr(eem, name)] == []


def test_a_name_that_is_not_there_is_an_error_like_in_any_module() -> None:
    """A slip of the pen is told as one."""
    name = "EmmSnapshot"
    with pytest.raises(AttributeError, match=r"module .webhook\.eem. has no attribute 'EmmSnapshot'"):
        getattr(eem, name)
