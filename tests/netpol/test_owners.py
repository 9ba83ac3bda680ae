"""Whose an object is."""

import builders as b
import pytest

from webhook.netpol.model import OwnerReference
from webhook.netpol.owners import read_owners
from webhook.netpol.reading import Faults

SET = b.owner("StatefulSet", "quick")
EMPTY = OwnerReference(api_version="", kind="", name="", uid="")


@pytest.mark.parametrize(
    ("written", "owners"),
    [
        pytest.param(None, (), id="none"),
        pytest.param([], (), id="an empty list"),
        pytest.param(
            [SET, {**SET, "name": "slow", "uid": None, "controller": None}],
            (
                OwnerReference(
                    api_version="apps/v1", kind="StatefulSet", name="quick", uid="uid-of-quick", controller=True
                ),
                OwnerReference(api_version="apps/v1", kind="StatefulSet", name="slow", uid=""),
            ),
            id="a controller, and one that is none",
        ),
        pytest.param([None, {}], (EMPTY, EMPTY), id="references that say nothing"),
    ],
)
def test_owners(written: object, owners: tuple[OwnerReference, ...]) -> None:
    """References are read in order; only `controller: true` makes a controller."""
    faults = Faults()

    assert owners == read_owners({"ownerReferences": written}, faults)
    assert faults.found == []


def test_faulty_owners() -> None:
    """Each fault is told with its path, and what cannot be read is empty."""
    faults = Faults()
    owners = read_owners({"ownerReferences": ["web", {"uid": 7, "controller": "yes"}]}, faults)

    assert owners == (EMPTY, EMPTY)
    assert [fault.field for fault in faults.found] == [
        "metadata.ownerReferences[0]",
        "metadata.ownerReferences[1].uid",
        "metadata.ownerReferences[1].controller",
    ]
    assert read_owners({"ownerReferences": {}}, faults) == ()
