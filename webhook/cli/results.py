"""What a command has to say to a pipeline: cases, each with results that have a rule and a place in a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from webhook.admission import Verdict
from webhook.admission.refusal import directions_of, losses_in_words
from webhook.admission.verdict import ResourceName, rule_id
from webhook.files.file_objects import Place
from webhook.files.positions import Position, position_of

Level = Literal["error", "warning"]

INGRESS_LOST: Final = "required-ingress-lost"
EGRESS_LOST: Final = "required-egress-lost"
INGRESS_BROKEN: Final = "required-ingress-broken"
EGRESS_BROKEN: Final = "required-egress-broken"
NO_SAFE_ORDER: Final = "no-safe-order"
NOT_DECIDED: Final = "requirement-not-decided"
VERDICT_WARNING: Final = "verdict-warning"
STATE_WARNING: Final = "state-warning"

DESCRIPTIONS: Final[Mapping[str, str]] = {
    INGRESS_LOST: "The change would cut off ingress that Event Endpoint Management requires.",
    EGRESS_LOST: "The change would cut off egress that Event Endpoint Management needs.",
    INGRESS_BROKEN: "Ingress that Event Endpoint Management requires is closed.",
    EGRESS_BROKEN: "Egress that Event Endpoint Management needs is closed.",
    NO_SAFE_ORDER: "No order of the changes keeps all required ingress open.",
    NOT_DECIDED: "Whether a requirement is met depends on something that is not known.",
    VERDICT_WARNING: "The change is allowed, and the user should know something about it.",
    STATE_WARNING: "The user should know something about the state of the cluster.",
    "field-Required": "A required field is missing.",
    "field-Invalid": "The value of a field is not valid.",
    "field-NotSupported": "The value of a field is not one of the allowed values.",
    "field-Duplicate": "A value that must be unique occurs twice.",
    "field-Forbidden": "A field must not be set here.",
    "field-NotFound": "A field names something that does not exist.",
    "field-TypeInvalid": "The value of a field has the wrong type.",
    "field-TooLong": "The value of a field is too long.",
    "field-TooMany": "A list has too many items.",
}
"""What each rule is about, by its id, besides the rules for EEM resources; docs/requirements.md explains each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """
    A verdict and where the change is.

    Args:
        place: of the object that was changed; None if the change was named on the command line.
        changed: the path of the first field that the change changes; empty if it is not known.
    """

    verdict: Verdict
    place: Place | None
    changed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """
    One thing to report.

    Args:
        rule: a stable id: of a rule for EEM resources, or one of DESCRIPTIONS.
        resource: the object that it is about.
        position: None where that is in no file.
    """

    level: Level
    rule: str
    message: str
    resource: str
    position: Position | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """
    One thing that a command has judged: a change, a step of a plan or a requirement.

    Args:
        group: the kind of object that it is about.
        file: where that is; empty if it is in no file.
    """

    name: str
    group: str
    file: str = ""
    results: tuple[Result, ...] = ()

    @property
    def errors(self) -> tuple[Result, ...]:
        """Return the results for which the command fails."""
        return tuple(result for result in self.results if result.level == "error")


def case_of(judged: Judged) -> Case:
    """Return a change as a case."""
    verdict = judged.verdict
    resource = name_of(verdict.resource)
    return Case(
        name=f"{verdict.operation} {resource}",
        group=verdict.resource.kind,
        file="" if judged.place is None else judged.place.file,
        results=tuple(_results(judged, resource)),
    )


def named(kind: str, namespace: str, name: str) -> str:
    """Return an object as `Kind namespace/name`."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def name_of(resource: ResourceName) -> str:
    """Return the object of a change as `Kind namespace/name`."""
    return named(resource.kind, resource.namespace, resource.name)


def place_or_none(place: Place | None, field: str) -> Position | None:
    """Return the position of a field; None where the object is in no file."""
    return None if place is None else position_of(place, field)


def _results(judged: Judged, resource: str) -> Iterator[Result]:
    verdict = judged.verdict
    verb = verdict.operation.lower()

    def result(level: Level, rule: str, message: str, field: str) -> Result:
        position = place_or_none(judged.place, field)
        return Result(level=level, rule=rule, message=message, resource=resource, position=position)

    level: Level = "warning" if verdict.allowed else "error"
    if verdict.faults:
        for fault in verdict.faults:
            yield result(level, rule_id(fault), f"{verb} {resource}: {fault.field}: {fault.message}", fault.field)
    elif verdict.advice:
        directions = directions_of(verdict.lost)
        rule = INGRESS_LOST if "ingress" in directions else EGRESS_LOST
        losses = "; ".join(losses_in_words(verdict.lost))
        what = f"{verb} {resource} would cut off required {directions}"
        yield result(level, rule, f"{what}: {losses}. {' '.join(verdict.advice)}", judged.changed or "spec")
    for text in verdict.warnings:
        yield result("warning", VERDICT_WARNING, f"{verb} {resource}: {text}", judged.changed)
