"""
What is wrong with a field of an object, in the form of the API server's `field.ErrorList`.

`Fault` is the one type for it: the readers of policies, the rules for EEM resources and the reader of files report it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FaultReason = Literal[
    "Required", "Invalid", "NotSupported", "Duplicate", "Forbidden", "NotFound", "TypeInvalid", "TooLong", "TooMany"
]
"""
The API server's word for a kind of fault.

Source: ErrorType of k8s.io/apimachinery, pkg/util/validation/field.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """
    One thing that is wrong with an object.

    Args:
        field: path from the object's root, `spec.ingress[0].from[2].ipBlock.cidr`.
        message: what is wrong, and what was expected.
        kind: the object's kind, for messages about several objects.
        name: `namespace/name` of the object.
        rule: the id of the rule, for objects that have a table of rules.

    Source: k8s.io/apimachinery/pkg/util/validation/field.Error.
    """

    field: str
    message: str
    reason: FaultReason = "Invalid"
    kind: str = ""
    name: str = ""
    rule: str = ""

    def __str__(self) -> str:
        """Return the fault as one line, which begins with the object where that is known."""
        owner = f"{self.kind} {self.name}: " if self.kind else ""
        return f"{owner}{self.field}: {self.message}"


class SpecError(ValueError):
    """Raised when objects cannot be understood; `faults` has every fault, in the order of the objects."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))
