"""
Measure with a real API server the time until the service is ready, and its memory.

The control plane is that of the end-to-end tests, in separate network namespaces. This module starts the control plane
and then itself in these namespaces (`python -m benchmarks.real`), to fill the cluster and to serve.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cluster import ApiObject, Size, as_listed, objects
from benchmarks.figures import REAL_MEMORY, REAL_SYNCED, Figures
from benchmarks.lists import REGISTER, in_cluster, service_account
from benchmarks.plan import Plan
from benchmarks.reviews import ROOT
from benchmarks.service import Pair, served

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]
from controlplane.build import PACKAGES, cache_folder  # noqa: E402
from crds.definitions import RELEASES, definitions  # noqa: E402
from harness.api import ApiClient  # noqa: E402
from harness.machine import find_binaries, isolating_flags  # noqa: E402
from harness.plane import ADMIN_TOKEN, HOST, PORT, Plane  # noqa: E402
from harness.process import run  # noqa: E402

AT_ONCE = 24  # objects that are created at the same time; more would wait in the API server
LONGEST_SECONDS = 300.0  # to start the API server, create 25,000 objects, and measure
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "EventEndpointManagement": "/apis/events.ibm.com/v1beta1/namespaces/{namespace}/eventendpointmanagements",
    "EventGateway": "/apis/events.ibm.com/v1beta1/namespaces/{namespace}/eventgateways",
}


class Inside(msgspec.Struct):
    """The measurements of the part inside the namespaces."""

    seconds: list[float]
    mib: list[float]


def is_built() -> bool:
    """Whether a control plane is built already; building one takes minutes."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folders = [cache_folder(os.environ), *([Path(given)] if given else [])]
    return all(any((folder / name).exists() for folder in folders) for name in PACKAGES)


def measure(pair: Pair, folder: Path, plan: Plan, figures: Figures) -> None:
    """
    Measure the largest cluster.

    Raises:
        RuntimeError: no control plane is built, namespaces cannot be made, or the part inside failed.
    """
    if not is_built():
        raise RuntimeError("no control plane was built yet: the end-to-end tests build it")
    home = folder / "plane"
    home.mkdir()
    settings = {
        "folder": str(home),
        "tls": str(pair.folder),
        "runs": min(plan.runs, 3),
        "binaries": find_binaries(),
        "policies": plan.largest.policies,
        "pods": plan.largest.pods,
    }
    command = ["unshare", *isolating_flags(), sys.executable, "-m", "benchmarks.real", json.dumps(settings)]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"it was not over within {LONGEST_SECONDS:.0f} s") from error
    if answer.returncode != 0:
        raise RuntimeError(answer.stderr.decode(errors="replace")[-2000:])
    inside = msgspec.json.decode(answer.stdout, type=Inside)
    figures.add(REAL_SYNCED, plan.largest, inside.seconds)
    figures.add(REAL_MEMORY, plan.largest, inside.mib)


async def _start(folder: Path, binaries: dict[str, str]) -> None:
    """Start the control plane and create everything except policies and pods."""
    await run("ip", "link", "set", "lo", "up")
    await run("ip", "address", "add", f"{HOST}/32", "dev", "lo")
    plane = Plane(folder, binaries)
    client = await plane.start()
    namespace, *instances = islice(objects(Size(policies=3, pods=0)), 3)
    try:
        for definition in definitions(RELEASES[-1]):
            await client.ask("POST", PATHS["CustomResourceDefinition"], definition)
        await _make(client, namespace)
        await _until_served(client, instances)
    finally:
        await client.close()
    await plane.stop_part("kube-controller-manager")  # it would process each new object


async def _fill(ca: Path, size: Size) -> None:
    waiting = islice(objects(size), 3, None)
    client = ApiClient(f"https://{HOST}:{PORT}", ca, ADMIN_TOKEN)

    async def work() -> None:
        for api_object in waiting:
            await _make(client, api_object)

    try:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    finally:
        await client.close()


async def _until_served(client: ApiClient, instances: Iterable[ApiObject]) -> None:
    """Create the instances when the API server serves their kinds and has the service account of the namespace."""
    for path in ("/api/v1/namespaces/events/serviceaccounts/default", PATHS["EventGateway"].format(namespace="events")):
        while True:
            try:
                await client.ask("GET", path)
                break
            except RuntimeError:  # not there yet
                await asyncio.sleep(0.2)
    for instance in instances:
        await _make(client, instance)


async def _make(client: ApiClient, api_object: ApiObject) -> None:
    written = as_created(api_object)
    await client.ask("POST", PATHS[written["kind"]].format(namespace=written["metadata"].get("namespace")), written)


def as_created(api_object: ApiObject) -> ApiObject:
    """Return an object as a client creates it: without what the API server writes, and with volumes."""
    written: dict[str, Any] = as_listed(api_object) if api_object["kind"] == "Pod" else dict(api_object)
    metadata = {
        key: value
        for key, value in written["metadata"].items()
        if key not in {"uid", "resourceVersion", "managedFields"}
    }
    written = {key: value for key, value in written.items() if key != "status"} | {"metadata": metadata}
    if written["kind"] == "Pod":
        mounts = written["spec"]["containers"][0]["volumeMounts"]
        written["spec"] = written["spec"] | {"volumes": [{"name": mount["name"], "emptyDir": {}} for mount in mounts]}
    return written


def _measure(folder: Path, ca: Path, pair: Pair, runs: int) -> Inside:
    arguments = ["--service-account-dir", str(service_account(folder, ca, ADMIN_TOKEN)), *REGISTER]
    found = Inside(seconds=[], mib=[])
    for _ in range(runs):
        with served(arguments, pair, folder / "live.log", in_cluster(HOST, PORT)) as service:
            found.seconds.append(service.ready_seconds)
            found.mib.append(service.resident_mib())
    return found


async def _inside(settings: Mapping[str, Any]) -> Inside:
    folder = Path(settings["folder"])
    ca = Plane(folder, {}).ca
    await _start(folder, settings["binaries"])
    await _fill(ca, Size(policies=settings["policies"], pods=settings["pods"]))
    return await asyncio.to_thread(_measure, folder, ca, Pair(folder=Path(settings["tls"])), settings["runs"])


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(asyncio.run(_inside(json.loads(sys.argv[1])))).decode())
    sys.stdout.flush()
    os._exit(0)  # this process is the first of its namespace, so the control plane ends with it
