"""The edits that the load is made of, each with the verdict that it must get, and what an answer to one means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.objects import Json, allow, deny_all, gateway, policy

KEPT = "allow-kafka"  # the policy that opens the gateway: its removal must be refused
CHURNING = tuple(f"churn-{number}" for number in range(4))  # the policy that admitted edits change
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"

OK, CREATED, FORBIDDEN = 200, 201, 403


class Outcome(StrEnum):
    """What became of one edit."""

    RIGHT = "right"
    WRONG = "wrong"  # a verdict, and not the one that it must get
    DROPPED = "dropped"  # no verdict: the webhook or the API server could not be asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One request to the API server; *allowed* is what must be said to it."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    media_type: str = JSON
    allowed: bool
    dry_run: bool

    def outcome(self, status: int, text: str) -> Outcome:
        """Return the meaning of the answer."""
        if status in (OK, CREATED):
            return Outcome.RIGHT if self.allowed else Outcome.WRONG
        if status == FORBIDDEN and "denied the request" in text:
            return Outcome.WRONG if self.allowed else Outcome.RIGHT
        return Outcome.DROPPED


def prepared(namespace: str) -> list[Json]:
    """Return the objects that precede the edits: a gateway that one policy opens, and some others."""
    allowed = allow(namespace, KEPT, "gw", [8092])
    return [*gateway(namespace), allowed, deny_all(namespace), *(churn(namespace, name, 9000) for name in CHURNING)]


def churn(namespace: str, name: str, port: int) -> Json:
    """Return a policy that opens a port of the gateway that is not required."""
    return allow(namespace, name, "gw", [port])


def ports(port: int) -> Json:
    """Return a patch that leaves a policy with one port."""
    return {"spec": {"ingress": [{"ports": [{"protocol": "TCP", "port": port}]}]}}


def edits(namespace: str) -> Iterator[Edit]:
    """Yield edits for ever: of ten, one is real; of those that are not, one in three must be refused."""
    there = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    kept = f"{there}/{KEPT}"
    number = 0
    while True:
        number += 1
        churned = f"{there}/{CHURNING[number % len(CHURNING)]}"
        changed = ports(9001 + number % 1000)
        stranger = policy(namespace, f"extra-{number}", selector={"matchLabels": {"app": "extra"}})
        allowed = (
            Edit(method="POST", path=there, body=stranger, allowed=True, dry_run=True),
            Edit(method="PATCH", path=churned, body=changed, media_type=MERGE_PATCH, allowed=True, dry_run=True),
            Edit(method="DELETE", path=churned, allowed=True, dry_run=True),
        )
        refused = (
            Edit(method="DELETE", path=kept, allowed=False, dry_run=True),
            Edit(method="PATCH", path=kept, body=ports(9092), media_type=MERGE_PATCH, allowed=False, dry_run=True),
            Edit(
                method="PATCH",
                path=kept,
                body={"spec": {"ingress": None}},
                media_type=MERGE_PATCH,
                allowed=False,
                dry_run=True,
            ),
        )
        for one in range(3):
            yield allowed[one]
            yield refused[(number + one) % 3]
            yield allowed[(one + 1) % 3]
        yield (
            Edit(method="PATCH", path=churned, body=changed, media_type=MERGE_PATCH, allowed=True, dry_run=False)
            if number % 2
            else Edit(method="DELETE", path=kept, allowed=False, dry_run=False)
        )
