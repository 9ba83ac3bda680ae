"""Say what is wrong with an API object, and where, in the manner of the API server's `field.ErrorList`."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """
    One thing that is wrong with an object.

    Args:
        field: dotted path from the object's root, `spec.ingress[0].from[2].ipBlock.cidr`.
        message: what is wrong and what was expected.
        reason: the API's word for it: Required, Invalid, NotSupported, Forbidden, TypeInvalid, TooMany, Duplicate.
        kind: the object's kind, for messages about several objects.
        name: `namespace/name` of the object.
        rule: the rule that was broken, where there is a table of rules.

    Source: k8s.io/apimachinery/pkg/util/validation/field.Error.
    """

    field: str
    message: str
    reason: str = "Invalid"
    kind: str = ""
    name: str = ""
    rule: str = ""

    def __str__(self) -> str:
        """Give the fault as one line, with the object it belongs to where that is known."""
        owner = f"{self.kind} {self.name}: " if self.kind else ""
        return f"{owner}{self.field}: {self.message}"


class SpecError(ValueError):
    """Tell that objects cannot be understood; `faults` holds every fault, in the order of the objects."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))
