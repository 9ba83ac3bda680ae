"""
Do to a namespace what the product's operator does: workloads, policies and status of its instances.

A stand-in, from what the product's documentation tells of labels, names and ports; the names of its policies are
published nowhere, so these are made up. A process of its own on the machine's network, under the operator's account;
what it could not do is written down, for that is what the tests are about.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.api import ApiClient, ApiError
from harness.objects import POD_ACCOUNT, Json, allow, instance_labels, owner

MANAGER, GATEWAY = "EventEndpointManagement", "EventGateway"
PLURALS = {MANAGER: "eventendpointmanagements", GATEWAY: "eventgateways"}
GROUP = "/apis/events.ibm.com/v1beta1"
APPLY = "application/apply-patch+yaml"
KNOWN_PORT = 8092
AGAIN_SECONDS = 0.5  # between two checks while nothing changes, to restore what other clients broke


def ports_of(instance: Json) -> list[int]:
    """Return the ports on which the pods of an instance listen."""
    if instance["kind"] == MANAGER:
        return [3000, 8081]
    listeners = instance["spec"].get("listeners") or [{"port": KNOWN_PORT}]
    return [listeners[0]["port"]]


def workload_name(instance: Json) -> str:
    """Return the name of the StatefulSet of a manager, or the Deployment of a gateway."""
    suffix = "ibm-eem-manager" if instance["kind"] == MANAGER else "ibm-egw-gateway"
    return f"{instance['metadata']['name']}-{suffix}"


def workload(instance: Json) -> Json:
    """Return the StatefulSet or the Deployment of an instance."""
    is_manager = instance["kind"] == MANAGER
    metadata = instance["metadata"]
    labels = instance_labels(metadata["name"], "ibm-eem-manager" if is_manager else "ibm-egw")
    container = "manager" if is_manager else "egw"
    ports = [{"containerPort": port} for port in ports_of(instance)]
    spec: Json = {
        "replicas": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/instance": metadata["name"], "events.ibm.com/kind": container}},
        "template": {
            "metadata": {"labels": labels | {"events.ibm.com/kind": container}},
            "spec": {
                "serviceAccountName": POD_ACCOUNT,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": container, "image": f"localhost/{container}:e2e", "ports": ports}],
            },
        },
    }
    if is_manager:
        spec["serviceName"] = workload_name(instance)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if is_manager else "Deployment",
        "metadata": named(instance, workload_name(instance), labels),
        "spec": spec,
    }


def network_policy(instance: Json, release: str) -> Json:
    """Return the policy that a release of the operator makes for an instance, with another name in every release."""
    name, namespace = instance["metadata"]["name"], instance["metadata"]["namespace"]
    made = allow(namespace, f"{workload_name(instance)}-{release}", name, ports_of(instance))
    made["metadata"] = named(instance, made["metadata"]["name"], instance_labels(name, "network"))
    return made


def named(instance: Json, name: str, labels: Mapping[str, str]) -> Json:
    """Return the metadata of an object of an instance."""
    belongs = owner(instance["kind"], instance["metadata"]["name"], instance["metadata"]["uid"])
    return {
        "namespace": instance["metadata"]["namespace"],
        "name": name,
        "labels": dict(labels),
        "ownerReferences": [belongs | {"controller": True, "blockOwnerDeletion": False}],
    }


class Operator:
    """Keeps one namespace as its instances want it."""

    def __init__(self, client: ApiClient, namespace: str, release: str) -> None:
        self._client = client
        self._namespace = namespace
        self._release = release

    async def reconcile(self) -> None:
        """Bring everything of every instance to where it should be."""
        for kind, plural in PLURALS.items():
            listed = await self._client.ask("GET", f"{GROUP}/namespaces/{self._namespace}/{plural}")
            for instance in listed["items"]:
                if "deletionTimestamp" not in instance["metadata"]:
                    await self._reconcile_one({**instance, "kind": kind})

    async def _reconcile_one(self, instance: Json) -> None:
        wanted = network_policy(instance, self._release)
        is_on = instance["spec"].get("deployNetworkPolicies", True)
        for name in await self._own_policies(instance):
            if not is_on or name != wanted["metadata"]["name"]:
                await self._do("DELETE", f"{self._policies}/{name}")
        if is_on:
            await self._do("PATCH", f"{self._policies}/{wanted['metadata']['name']}", wanted)
        made = workload(instance)
        plural = f"{made['kind'].lower()}s"
        await self._do("PATCH", f"/apis/apps/v1/namespaces/{self._namespace}/{plural}/{made['metadata']['name']}", made)
        if instance.get("status", {}).get("versions", {}).get("reconciled") != self._release:
            await self._do("PATCH", f"{self._path_of(instance)}/status", self._status(instance))

    def _status(self, instance: Json) -> Json:
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        return {
            "apiVersion": instance["apiVersion"],
            "kind": instance["kind"],
            "metadata": {"name": instance["metadata"]["name"], "namespace": self._namespace},
            "status": {"phase": "Running", "conditions": [ready], "versions": {"reconciled": self._release}},
        }

    @property
    def _policies(self) -> str:
        return f"/apis/networking.k8s.io/v1/namespaces/{self._namespace}/networkpolicies"

    def _path_of(self, instance: Json) -> str:
        return f"{GROUP}/namespaces/{self._namespace}/{PLURALS[instance['kind']]}/{instance['metadata']['name']}"

    async def _own_policies(self, instance: Json) -> list[str]:
        """Return the names of the existing policies of an instance."""
        listed = await self._client.ask("GET", self._policies)
        return [
            one["metadata"]["name"]
            for one in listed["items"]
            if any(ref["uid"] == instance["metadata"]["uid"] for ref in one["metadata"].get("ownerReferences", ()))
        ]

    async def _do(self, method: str, path: str, body: Json | None = None) -> None:
        """Change one object; a refusal by admission is noted, other refusals are met again in the next round."""
        query = "?fieldManager=ibm-eem-operator&force=true" if method == "PATCH" else ""
        try:
            await self._client.ask(method, path + query, body, APPLY)
        except ApiError as error:
            if error.status not in {404, 409}:  # deleted, or another client was faster
                print(json.dumps(f"{method} {path}: {error}"), flush=True)


async def until_input_ends() -> None:
    """Wait until the parent process closes standard input or ends."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


async def serve(settings: Mapping[str, str]) -> None:
    """Reconcile again and again until standard input ends; what is refused goes to standard output, a line each."""
    client = ApiClient(settings["url"], Path(settings["ca"]), settings["token"])
    operator = Operator(client, settings["namespace"], settings["release"])

    async def work() -> None:
        while True:
            await operator.reconcile()
            await asyncio.sleep(AGAIN_SECONDS)

    working, ended = asyncio.create_task(work()), asyncio.create_task(until_input_ends())
    await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
    working.cancel()
    await asyncio.wait({working})
    await client.close()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
