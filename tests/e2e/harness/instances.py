"""The instances of one namespace: edits by kubectl, and what the webhooks of theirs said about them."""

import json
import time
from collections.abc import Mapping
from typing import Any

from harness.decisions import Decision, faults, warnings
from harness.guard import INSTANCE_KINDS
from harness.machine import Answer
from harness.objects import Json, event_gateway, listed
from harness.place import Place

MARK = "mark"


class Instances:
    """What a case edits and asks about the instances of its place."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.place = place
        self.guard = place.guard
        self.kubectl = place.kubectl
        self.apply = place.apply
        self.create = place.create

    def patch(self, instance: Mapping[str, Any], change: object, *flags: str, kind: str = "merge") -> Answer:
        """Patch one instance with one of kubectl's kinds of patch."""
        return self.kubectl("patch", *named(instance), f"--type={kind}", f"--patch={json.dumps(change)}", *flags)

    def stored(self, instance: Mapping[str, Any]) -> Json | None:
        """Read one instance back; None where it was not stored."""
        answer = self.kubectl("get", *named(instance), "--ignore-not-found", "--output=json", "--show-managed-fields")
        return answer.json if answer.stdout else None

    def spec(self, instance: Mapping[str, Any]) -> Json:
        """Read the spec of an instance that was stored."""
        found = self.stored(instance)
        if found is None:
            raise AssertionError(f"not stored: {named(instance)}")
        spec: Json = found["spec"]
        return spec

    def refused(self, answer: Answer, operation: str, instance: Mapping[str, Any], user: str | None = None) -> Json:
        """Check that this change was refused, by kubectl's text and by the service's line; give the faults by field."""
        kind, name = instance["kind"], instance["metadata"].get("name")
        told = faults(answer)
        decision = self.guard.verdicts.heard(self.name, operation, name, "denied", user)
        message = f"{kind} {self.name}/{decision.name} is not valid: " + "; ".join(
            f"{field}: {text}" for field, text in told.items()
        )
        printed = f'The {kind} "{decision.name}" is invalid: ' in answer.stderr
        if answer.status != 1 or not told or not printed or decision.code != 422:
            raise AssertionError(f"kubectl did not print the refusal: {answer}; the log has {decision}")
        if not message.startswith(decision.message.removesuffix("…")):  # the log cuts what is long
            raise AssertionError(f"the log has {decision.message!r}, and kubectl printed {message!r}")
        return told

    def passed(
        self,
        answer: Answer,
        operation: str,
        instance: Mapping[str, Any],
        result: str = "allowed",
        user: str | None = None,
    ) -> list[str]:
        """Check that this change went through and that the service was asked; give the warnings that were printed."""
        if answer.status != 0:
            raise AssertionError(f"kubectl failed: {answer}")
        self.guard.verdicts.heard(self.name, operation, instance["metadata"]["name"], result, user)
        return warnings(answer)

    def until_seen(self) -> None:
        """Wait until every replica holds as many instances as there are."""
        self.guard.until_seen(INSTANCE_KINDS)

    def set_mode(self, mode: str) -> None:
        """Set what the service does here with what it would refuse, and wait until every replica knows."""
        since = time.time()
        annotation = f"eem-guardrail.io/mode={mode}"
        self.place.machine.must("annotate", "namespace", self.name, annotation, "--overwrite")
        self.guard.until_told("namespaces", since)

    def store_anyway(self, *instances: Mapping[str, Any]) -> None:
        """Have instances stored that the service would refuse, as if they had been there before it."""
        self.set_mode("audit")
        self.place.machine.must("apply", "-f", "-", stdin=listed(*instances))
        self.set_mode("enforce")
        self.until_seen()
        self.guard.verdicts.forget(self.name)

    def unasked(self) -> list[Decision]:
        """
        Return what was judged since the last assertion, and is not accounted for.

        A change that is certainly judged goes last: when that is in the log, everything before it is.
        """
        self.apply(event_gateway(self.name, MARK), flags=("--dry-run=server",))
        self.guard.verdicts.until_marked(self.name, MARK)
        return self.guard.verdicts.unheard(self.name)


def named(instance: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind and name of an instance as kubectl takes them."""
    return instance["kind"].lower(), instance["metadata"]["name"]
