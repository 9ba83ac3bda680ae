"""Edits of one namespace's policies as single requests, and whether the gateway can still be reached afterwards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.api import ApiClient, ApiError
from harness.objects import Json, allow, deny_all

DENY, A, B = "default-deny", "a", "b"
MERGE_PATCH = "application/merge-patch+json"
KAFKA = 8092
FORBIDDEN, NOT_FOUND, NO_VERDICT = 403, 404, 500
UNANSWERED = "failed calling webhook"
# No replica answered in time: the API server's words for its own deadline, and for a webhook's status 503.
LATE = ("context deadline exceeded", "currently unable to handle the request")


class OddAnswerError(RuntimeError):
    """Raised when an answer is neither a success nor a refusal by the service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One request: what is written is a whole policy, or a merge patch."""

    method: str
    name: str
    body: Mapping[str, Any] | None = None


class Policies:
    """The policies of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"

    def deny(self) -> Json:
        """Return the default deny."""
        return deny_all(self.namespace, DENY)

    def wide(self, name: str) -> Json:
        """Return a policy that admits every source to the gateway."""
        return allow(self.namespace, name, "gw", [KAFKA])

    def narrow(self, name: str) -> Json:
        """Return a policy that admits one team to the gateway."""
        return allow(self.namespace, name, "gw", [KAFKA], [{"podSelector": {"matchLabels": {"team": name}}}])

    def create(self, policy: Json) -> Step:
        """Return the creation of a policy."""
        return Step(method="POST", name=policy["metadata"]["name"], body=policy)

    def put(self, policy: Json) -> Step:
        """Return the replacement of a policy."""
        return Step(method="PUT", name=policy["metadata"]["name"], body=policy)

    def annotate(self, name: str, note: str) -> Step:
        """Return a change without effect."""
        return Step(method="PATCH", name=name, body={"metadata": {"annotations": {"note": note}}})

    def select_nobody(self, name: str) -> Step:
        """Return the change after which a policy selects no existing pod."""
        nobody = {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "nobody"}}}}
        return Step(method="PATCH", name=name, body=nobody)

    def delete(self, name: str) -> Step:
        """Return the deletion of a policy."""
        return Step(method="DELETE", name=name)

    async def refusal(self, client: ApiClient, *steps: Step) -> str:
        """
        Make one step after another until one is refused, and return the text of that refusal; "" if none is.

        A change without a verdict, for lack of time, is refused too: `is_unsure` tells.

        Raises:
            OddAnswerError: there was an answer that is no verdict.
        """
        for step in steps:
            path = self._path if step.method == "POST" else f"{self._path}/{step.name}"
            try:
                await client.ask(step.method, path, step.body, patch=MERGE_PATCH)
            except ApiError as error:
                told = f"{step.method} {self.namespace}/{step.name}: {error}"
                is_verdict = error.status == FORBIDDEN and "denied the request" in told
                if is_verdict or (error.status == NO_VERDICT and is_unsure(told)):
                    return told
                raise OddAnswerError(told) from error
        return ""

    async def listed(self, client: ApiClient) -> dict[str, Json]:
        """Read what is stored, by name."""
        answer = await client.ask("GET", self._path)
        return {one["metadata"]["name"]: one for one in answer["items"]}

    def steps_to(self, wanted: Mapping[str, Json], present: Mapping[str, Json]) -> list[Step]:
        """Return the steps to the wanted state; each prepares the next one."""
        steps = []
        for name, policy in wanted.items():
            if name not in present:
                steps.append(self.create(policy))
            elif effect(present[name]) != effect(policy):
                steps.append(self.put(policy))
        return steps + [self.delete(name) for name in (DENY, A, B) if name in present and name not in wanted]


def is_unsure(refusal: str) -> bool:
    """Whether a refusal says that there was not enough time; on a busy machine some do."""
    if UNANSWERED in refusal:
        return any(reason in refusal for reason in LATE)
    return "could not be asked" in refusal or "its outcome is not known yet" in refusal


def effect(policy: Json) -> str:
    """Return the effect of a policy, in a form to compare."""
    return json.dumps([policy["spec"]["podSelector"], policy["spec"].get("ingress", [])], sort_keys=True)


def is_open(policies: Mapping[str, Json]) -> bool:
    """Whether every source can reach the gateway; for policies that this module makes."""
    about = [one["spec"] for one in policies.values() if selects_gateway(one)]
    rules = [rule for spec in about for rule in spec.get("ingress", [])]
    return not about or any("from" not in rule for rule in rules)


def selects_gateway(policy: Json) -> bool:
    """Whether a policy selects the gateway's pod."""
    chosen = policy["spec"]["podSelector"].get("matchLabels", {})
    return bool(chosen.get("app.kubernetes.io/instance", "gw") == "gw")
