"""One namespace that a case has for itself, and the questions that a case asks there."""

import json
from collections.abc import Mapping
from typing import Any

from harness.decisions import Decision, complete_lines, refusal
from harness.guard import Guard
from harness.machine import Answer, Machine
from harness.objects import Json, allow, deny_all, gateway, listed, namespace
from harness.waiting import wait_until

POLICIES = "networkpolicies"
INSTANCES = ("EventGateway", "EventEndpointManagement")  # a namespace with one of them is under guard
AUDITED_SECONDS = 30  # the API server writes its audit log in its own time


class Place:
    """A namespace under guard: edits by kubectl, and what the service said about them."""

    def __init__(self, name: str, machine: Machine, guard: Guard) -> None:
        self.name = name
        self.machine = machine
        self.guard = guard

    def set_up(self, *objects: Mapping[str, Any]) -> None:
        """Make the namespace with *objects* in it, and wait until every replica has seen them."""
        self.machine.must("apply", "-f", "-", stdin=listed(*namespace(self.name), *objects))
        self.guard.until_seen()
        if any(one["kind"] in INSTANCES for one in objects):
            self.guard.until_guarded(self.name)
        self.guard.decisions.forget(self.name)

    def set_up_gateway(self, *more: Mapping[str, Any]) -> None:
        """Make the namespace with a gateway that is reached through one allow under a default-deny."""
        allowed = allow(self.name, "allow-kafka", "gw", [8092])
        self.set_up(*gateway(self.name), allowed, deny_all(self.name), *more)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run kubectl in this namespace."""
        return self.machine.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin)

    def apply(self, *objects: Mapping[str, Any], flags: tuple[str, ...] = ()) -> Answer:
        """Apply objects as one file."""
        return self.kubectl("apply", *flags, "-f", "-", stdin=listed(*objects))

    def create(self, *objects: Mapping[str, Any], flags: tuple[str, ...] = ()) -> Answer:
        """Create objects, which is all that a generated name allows."""
        return self.kubectl("create", *flags, "-f", "-", stdin=listed(*objects))

    def patch(self, name: str, patch: object, kind: str) -> Answer:
        """Patch one policy with one of kubectl's kinds of patch."""
        return self.kubectl("patch", POLICIES, name, f"--type={kind}", f"--patch={json.dumps(patch)}")

    def delete(self, name: str, *flags: str) -> Answer:
        """Delete one policy."""
        return self.kubectl("delete", POLICIES, name, *flags)

    def policy(self, name: str) -> Json | None:
        """Read one policy back; None where there is none."""
        answer = self.kubectl("get", POLICIES, name, "--ignore-not-found", "--output=json")
        return answer.json if answer.stdout else None

    def policies(self) -> set[str]:
        """Return the names of the existing policies."""
        answer = self.kubectl("get", POLICIES, "--output=name")
        return {line.partition("/")[2] for line in answer.stdout.splitlines()}

    def denied(self, answer: Answer, operation: str, name: str | None, user: str | None = None) -> str:
        """Check that this change was refused, by kubectl's text and by the service's own line; return the text."""
        text = refusal(answer)
        decision = self.guard.decisions.heard(self.name, operation, name, "denied", user)
        logged = decision.message.removesuffix("…")  # the log cuts what is long
        if not text or not logged or not text.startswith(logged):
            raise AssertionError(f"kubectl did not print the refusal: {answer}; the log has {decision}")
        return text

    def passed(self, answer: Answer, operation: str, name: str | None, result: str = "allowed") -> Decision:
        """Check that this change went through and that the service was asked, and let every replica see it."""
        if answer.status != 0:
            raise AssertionError(f"kubectl failed: {answer}")
        decision = self.guard.decisions.heard(self.name, operation, name, result)
        self.guard.until_seen([POLICIES])
        return decision

    def unasked(self) -> list[Decision]:
        """
        Return what the service was asked since the last assertion, and is not accounted for.

        A change that it is certainly asked about goes last: when that is in the log, everything before it is.
        """
        self.create(deny_all(self.name, "mark"), flags=("--dry-run=server",))
        self.guard.decisions.until_marked(self.name, "mark")
        return self.guard.decisions.unheard(self.name)

    def audited(self, name: str, verb: str) -> dict[str, str]:
        """Read what the service added to the API server's audit log about the last such request."""

        def look() -> dict[str, str] | None:
            found = None
            for line in complete_lines(self.machine.logs / "audit.jsonl"):
                entry = json.loads(line)
                asked = entry.get("objectRef", {})
                if (asked.get("namespace"), asked.get("name"), entry["verb"]) == (self.name, name, verb):
                    found = {key: text for key, text in entry["annotations"].items() if "eem-guardrail.io" in key}
            return found

        return wait_until(look, f"an audit line about {verb} {self.name}/{name}", seconds=AUDITED_SECONDS)
