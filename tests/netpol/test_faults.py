"""A fault names its field, and an error has every fault."""

import pytest

from webhook.netpol import Fault, SpecError


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        pytest.param(Fault(field="spec.x", message="is wrong"), "spec.x: is wrong", id="a fault without its object"),
        pytest.param(
            Fault(field="spec.x", message="is wrong", kind="Pod", name="shop/web-0"),
            "Pod shop/web-0: spec.x: is wrong",
            id="a fault that knows its object",
        ),
    ],
)
def test_a_fault_is_one_line(fault: Fault, line: str) -> None:
    """A fault is printed as its object, its path and its message."""
    assert line == str(fault)


def test_an_error_has_every_fault() -> None:
    """An error keeps its faults in order and prints all of them."""
    faults = [Fault(field="a", message="one"), Fault(field="b", message="two", reason="Required")]
    error = SpecError(iter(faults))

    assert tuple(faults) == error.faults
    assert str(error) == "a: one; b: two"
