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
FORBIDDEN, NOT_FOUND = 403, 404


class OddAnswerError(RuntimeError):
    """Tell of an answer that is neither a success nor a refusal by the service."""


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
        """Give the default deny."""
        return deny_all(self.namespace, DENY)

    def wide(self, name: str) -> Json:
        """Give a policy that lets everyone reach the gateway."""
        return allow(self.namespace, name, "gw", [KAFKA])

    def narrow(self, name: str) -> Json:
        """Give a policy that lets one team reach the gateway."""
        return allow(self.namespace, name, "gw", [KAFKA], [{"podSelector": {"matchLabels": {"team": name}}}])

    def create(self, policy: Json) -> Step:
        """Give the creation of a policy."""
        return Step(method="POST", name=policy["metadata"]["name"], body=policy)

    def put(self, policy: Json) -> Step:
        """Give the replacement of a policy."""
        return Step(method="PUT", name=policy["metadata"]["name"], body=policy)

    def annotate(self, name: str, note: str) -> Step:
        """Give a change that means nothing."""
        return Step(method="PATCH", name=name, body={"metadata": {"annotations": {"note": note}}})

    def select_nobody(self, name: str) -> Step:
        """Give the change that lets a policy select no pod that there is."""
        nobody = {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "nobody"}}}}
        return Step(method="PATCH", name=name, body=nobody)

    def delete(self, name: str) -> Step:
        """Give the deletion of a policy."""
        return Step(method="DELETE", name=name)

    async def refusal(self, client: ApiClient, *steps: Step) -> str:
        """
        Take one step after another, and give the text with which one was refused, the last then; "" for none.

        Raises:
            OddAnswerError: there was an answer that is no verdict.
        """
        for step in steps:
            path = self._path if step.method == "POST" else f"{self._path}/{step.name}"
            try:
                await client.ask(step.method, path, step.body, patch=MERGE_PATCH)
            except ApiError as error:
                if error.status == FORBIDDEN and "denied the request" in str(error):
                    return f"{step.method} {self.namespace}/{step.name}: {error}"
                raise OddAnswerError(f"{step.method} {self.namespace}/{step.name}: {error}") from error
        return ""

    async def listed(self, client: ApiClient) -> dict[str, Json]:
        """Read what is stored, by name."""
        answer = await client.ask("GET", self._path)
        return {one["metadata"]["name"]: one for one in answer["items"]}

    def steps_to(self, wanted: Mapping[str, Json], present: Mapping[str, Json]) -> list[Step]:
        """Give the steps to what is wanted, of which each but the last prepares the next."""
        steps = []
        for name, policy in wanted.items():
            if name not in present:
                steps.append(self.create(policy))
            elif effect(present[name]) != effect(policy):
                steps.append(self.put(policy))
        return steps + [self.delete(name) for name in (DENY, A, B) if name in present and name not in wanted]


def is_unsure(refusal: str) -> bool:
    """Say whether a refusal itself says that it was given for want of time: on a busy machine some are."""
    return "could not be asked" in refusal or "may still be on its way" in refusal


def effect(policy: Json) -> str:
    """Give what a policy is about, in a form to compare."""
    return json.dumps([policy["spec"]["podSelector"], policy["spec"].get("ingress", [])], sort_keys=True)


def is_open(policies: Mapping[str, Json]) -> bool:
    """Say whether everyone can reach the gateway, of policies that this module makes."""
    about = [one["spec"] for one in policies.values() if selects_gateway(one)]
    rules = [rule for spec in about for rule in spec.get("ingress", [])]
    return not about or any("from" not in rule for rule in rules)


def selects_gateway(policy: Json) -> bool:
    """Say whether a policy is about the gateway's pod."""
    chosen = policy["spec"]["podSelector"].get("matchLabels", {})
    return bool(chosen.get("app.kubernetes.io/instance", "gw") == "gw")
