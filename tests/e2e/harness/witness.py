"""What the API server itself counts and writes about the webhooks: a witness that is not ours."""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.decisions import complete_lines
from harness.machine import Machine
from harness.plane import STARTS

SERVICE_ACCOUNT = "system:serviceaccount:eem-guardrail:eem-guardrail"
ERRORS = re.compile(
    r'^apiserver_admission_webhook_rejection_count\{error_type="calling_webhook_error",.*\} (\S+)$', re.MULTILINE
)
IGNORED = re.compile(r"^apiserver_admission_webhook_fail_open_count\{.*\} (\S+)$", re.MULTILINE)


def uncalled(machine: Machine) -> int:
    """Return how often the API server has got no verdict from a webhook since it started."""
    metrics = machine.must("get", "--raw", "/metrics").stdout
    return int(sum(float(count) for pattern in (ERRORS, IGNORED) for count in pattern.findall(metrics)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """
    One request of the service's account, as the audit log has it; empty where it concerned no resource.

    Args:
        forbidden: for want of a right. A refusal by a webhook, as of the heartbeat, has the same status and is none;
            nor is one by an API server that is not ready yet, which knows no rights before it has read them.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    status: int
    agent: str
    forbidden: bool


def asked_by_the_service(machine: Machine) -> Iterator[Asked]:
    """Yield what was asked with the service's account."""
    starts = [json.loads(line) for line in complete_lines(machine.logs / STARTS)]
    for line in complete_lines(machine.logs / "audit.jsonl"):
        entry = json.loads(line)
        if entry["user"]["username"] == SERVICE_ACCOUNT:
            concerned = entry.get("objectRef", {})
            resource = "/".join(filter(None, (concerned.get("resource"), concerned.get("subresource"))))
            yield Asked(
                verb=entry["verb"],
                group=concerned.get("apiGroup", ""),
                resource=resource,
                namespace=concerned.get("namespace", ""),
                name=concerned.get("name", ""),
                status=entry["responseStatus"]["code"],
                agent=entry.get("userAgent", ""),
                forbidden=entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
                and not any(one["began"] <= received(entry) <= one["ready"] for one in starts),
            )


def received(entry: Mapping[str, str]) -> float:
    """Return when a request of the audit log arrived, in Unix time."""
    return dt.datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
