"""The service on the machine: installed as its manifests say, heard through its decision log."""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from crds.definitions import definitions

from harness.decisions import DEFAULTS, INSTANCES, POLICIES, DecisionLog, complete_lines
from harness.known import Known, gauge, held, same, summed_up
from harness.machine import CHECKOUT, Machine
from harness.objects import Json, listed, namespace, policy
from harness.waiting import wait_until
from webhook.eem import resources as kinds
from webhook.eem.resources import EEM_GROUP, EEM_VERSION
from webhook.eem.rules import NEWEST, ProductVersion

NAMESPACE = "eem-guardrail"
MANIFESTS = CHECKOUT / "manifests"
REGISTRATION = MANIFESTS / "components" / "static-registration" / "validatingwebhookconfiguration.yaml"

# Registered by hand, as static-registration wants it. Each case takes the next one: none sees another's policies.
GUARDED = tuple(f"eem-{number:02}" for number in range(90))
# Registered without matchConditions, so that the service itself is asked about what these keep out elsewhere.
BARE = tuple(f"bare-{number:02}" for number in range(20))
PROBED = (GUARDED[0], BARE[0])
PACKETS = "eem"  # guarded as well: where policies meet packets, under the name that the oracle's generator knows
OPERATOR_NAMESPACE = "eem-operator"
OPERATED = (OPERATOR_NAMESPACE, *GUARDED, PACKETS)  # the namespaces of operators, as the installer of the kinds noted

# What the API server tells of its kinds, and where in it: the service reads the first, kubectl the second.
SCHEMAS = {
    f"/openapi/v3/apis/{EEM_GROUP}/{EEM_VERSION}": ("components", "schemas"),
    "/openapi/v2": ("definitions",),
}
INSTANCE_KINDS = ("eventgateways", "eventendpointmanagements")
# Read directly; which version of the others is served may change.
PATHS = {one.plural: one.path(None) for one in kinds.WATCHED if one.plural not in INSTANCE_KINDS}
STATES = r'{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}'
WATCHED = ("networkpolicies", "namespaces", "pods", *INSTANCE_KINDS)

ROLLOUT_SECONDS = 240  # a minute on two idle cores
ENDED_SECONDS = 120  # above terminationGracePeriodSeconds
SEEN_SECONDS = 60  # a watch takes milliseconds; to look takes seconds where others use the machine
KINDS_SECONDS = 120  # a kind that is not there is looked for again and again, but not all the time
REGISTERED_SECONDS = 60  # the API server honours a new registration within a second or two


class Guard:
    """
    The installed service.

    Args:
        deployment: what is merged into its Deployment.
    """

    def __init__(self, machine: Machine, deployment: Mapping[str, Any] | None = None) -> None:
        self._machine = machine
        self._deployment = deployment
        self._overlay = machine.folder / "overlay"
        logs = f"{NAMESPACE}-*.log"
        self.decisions = DecisionLog(machine.logs, logs, POLICIES)
        self.verdicts = DecisionLog(machine.logs, logs, INSTANCES)
        self.defaults = DecisionLog(machine.logs, logs, DEFAULTS)
        self.first_replicas: set[str] = set()

    @property
    def overlay(self) -> Path:
        """The kustomization that was applied."""
        return self._overlay

    @property
    def kinds(self) -> Path:
        """The definitions of the kinds of Event Endpoint Management that were applied last."""
        return self._machine.folder / "kinds.json"

    def install(self) -> None:
        """Apply the manifests with a pair of `python -m certs`, and wait until the API server asks the service."""
        pair = self._machine.folder / "tls"
        subprocess.run(
            [sys.executable, "-m", "certs", "init", "--out", str(pair)],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
        )
        self._write_overlay((pair / "ca.crt").read_bytes())
        self._apply(pair)
        self.first_replicas = set(self.replicas())
        for name in PROBED:
            self._machine.must("apply", "-f", "-", stdin=listed(*namespace(name)))
            self._until_registered(name)

    def _apply(self, pair: Path) -> None:
        """Apply the manifests and what they need beside them, which is the pair, and wait until all replicas run."""
        self._machine.must("apply", "-k", str(self._overlay))
        files = [f"--from-file={name}={pair / name}" for name in ("ca.crt", "tls.crt", "tls.key")]
        self._machine.kubectl("create", "secret", "generic", "eem-guardrail-tls", f"--namespace={NAMESPACE}", *files)
        self.until_rolled_out()

    def install_again(self) -> None:
        """Apply the same as before, whatever of it is gone, and wait until the API server asks the service."""
        self._apply(self._machine.folder / "tls")
        self.until_asked()
        self.until_seen()

    def until_asked(self) -> None:
        """Wait until the service hears of a change that is made now."""
        self.decisions.forget(PROBED[0])
        self._until_registered(PROBED[0])

    def _write_overlay(self, ca: bytes) -> None:
        """Write this cluster's kustomization: manifests, static registration, and the two fields that are its own."""
        self._overlay.mkdir()
        there = self._overlay.resolve()  # kustomize takes bases by relative path only
        bundle = base64.b64encode(ca).decode()
        selector = "/webhooks/0/namespaceSelector/matchExpressions/0/values"
        here = {"op": "replace", "path": selector, "value": [*GUARDED, PACKETS]}
        trust = [{"op": "add", "path": f"/webhooks/{at}/clientConfig/caBundle", "value": bundle} for at in range(2)]
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(MANIFESTS / self._machine.manifests, there), "bare.yaml"],
            "components": [os.path.relpath(REGISTRATION.parent, there)],
            "patches": [
                patched("ValidatingWebhookConfiguration", [here, *trust]),
                patched("MutatingWebhookConfiguration", trust[:1]),
                *self._merged(),
            ],
            "images": self._images(),
        }
        (self._overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        bare = yaml.safe_load(REGISTRATION.read_text())
        bare["metadata"]["name"] = "bare"
        bare["webhooks"] = [webhook for webhook in bare["webhooks"] if webhook["name"] == POLICIES]
        (webhook,) = bare["webhooks"]
        del webhook["matchConditions"]
        webhook["clientConfig"]["caBundle"] = bundle
        webhook["namespaceSelector"]["matchExpressions"][0]["values"] = list(BARE)
        (self._overlay / "bare.yaml").write_text(yaml.safe_dump(bare))

    def _images(self) -> list[dict[str, str]]:
        """Return the name of the image on the machine, if it differs from that in the manifests."""
        name, _, tag = self._machine.image.rpartition(":")
        return [{"name": NAMESPACE, "newName": name, "newTag": tag}] if tag else []

    def _merged(self) -> list[dict[str, Any]]:
        """Return the patch of the Deployment, if there is one."""
        if self._deployment is None:
            return []
        metadata = {"name": NAMESPACE, "namespace": NAMESPACE}
        named = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
        return [{"patch": json.dumps({**named, **self._deployment})}]

    def until_guarded(self, name: str) -> None:
        """Wait until a namespace is registered: by hand, so that there is nothing to wait for."""

    def _until_registered(self, name: str) -> None:
        try:
            wait_until(lambda: self._is_asked(name), "the registration", seconds=REGISTERED_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.last_words()}") from None

    def _is_asked(self, name: str) -> bool:
        """Send a change that is never made and look whether the service heard of it."""
        harmless = policy(name, "probe", selector={"matchLabels": {"probe": "registration"}})
        self._machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(harmless))
        return self.decisions.unheard(name) != []

    def until_rolled_out(self) -> None:
        """Wait until every replica of the newest generation is ready."""
        deployment = f"deployment/{NAMESPACE}"
        timeout = f"--timeout={ROLLOUT_SECONDS}s"
        answer = self._machine.kubectl(
            "rollout", "status", deployment, f"--namespace={NAMESPACE}", timeout, seconds=ROLLOUT_SECONDS + 10
        )
        if answer.status != 0:
            raise AssertionError(f"{answer.stdout}{answer.stderr}\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the last output of the service's processes, for the text of a failure."""
        files = [*self.decisions.files(), self._machine.logs / "kubelet.jsonl"]
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in files if path.exists())

    def restart(self) -> None:
        """Replace every replica, as `kubectl rollout restart` does."""
        self._machine.must("rollout", "restart", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}")
        self.until_rolled_out()

    def take_away(self, *, at_once: bool = False) -> None:
        """
        Scale to no replica, and wait until all processes have ended.

        Args:
            at_once: kill them instead of waiting until they have drained, where the machine can do that.
        """
        replicas = set(self.replicas())
        self.scale(0)
        if at_once:
            self._machine.end_at_once(replicas)
        self.exits(replicas)

    @contextlib.contextmanager
    def given(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Set these variables on every replica until the block ends."""
        command = ("set", "env", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}")
        self._machine.must(*command, *(f"{name}={value}" for name, value in variables.items()))
        self.until_rolled_out()
        try:
            yield
        finally:
            self._machine.must(*command, *(f"{name}-" for name in variables))
            self.until_rolled_out()

    @contextlib.contextmanager
    def absent(self, *, at_once: bool = False) -> Iterator[None]:
        """Scale to no replica, and to as many as before at the end; see `take_away`."""
        replicas = len(self.replicas())
        self.take_away(at_once=at_once)
        try:
            yield
        finally:
            self.scale(replicas)

    def until_nobody_runs(self) -> None:
        """Wait until no replica is there, not even one that is on its way out."""
        command = ("get", "pods", f"--namespace={NAMESPACE}", "--output=name")
        wait_until(lambda: not self._machine.must(*command).stdout, "the end of all replicas", seconds=ENDED_SECONDS)

    def scale(self, replicas: int) -> None:
        """Have so many replicas, and wait until they are ready."""
        command = ("scale", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}", f"--replicas={replicas}")
        self._machine.must(*command)
        self.until_rolled_out()

    def add_kinds(self) -> None:
        """Add the kinds of Event Endpoint Management and wait until every replica reads them."""
        before = self._machine.must("get", "customresourcedefinitions", "--output=name").stdout
        if "events.ibm.com" in before:
            raise AssertionError(f"the kinds were there before the service: {before}")
        self.set_kinds(NEWEST)
        self.until_seen(seconds=KINDS_SECONDS)

    def set_kinds(self, release: ProductVersion) -> None:
        """Install the definitions of one release, and wait until the API server goes by them."""
        self.kinds.write_text(listed(*definitions(release, OPERATED)))
        self._machine.must("apply", "-f", str(self.kinds))
        established = ("--for=condition=Established", f"--timeout={ROLLOUT_SECONDS}s")
        self._machine.must("wait", *established, "-f", str(self.kinds))
        wait_until(lambda: self._are_served(release), f"the definitions of {release}", seconds=REGISTERED_SECONDS)

    def _are_served(self, release: ProductVersion) -> bool:
        """Whether both forms of the API server's schemas have the fields of *release*."""
        wanted = {
            one["spec"]["names"]["kind"]: fields_of(one["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            for one in definitions(release)
        }
        return all(self._told(path, *place) == wanted for path, place in SCHEMAS.items())

    def _told(self, path: str, *place: str) -> dict[str, Any]:
        """Read the fields of each kind of Event Endpoint Management, as the API server tells them to clients."""
        answer = self._machine.kubectl("get", "--raw", path)
        schemas = answer.json if answer.status == 0 else {}
        for part in place:
            schemas = schemas.get(part, {})
        return {
            name["kind"]: fields_of(one)
            for one in schemas.values()
            for name in one.get("x-kubernetes-group-version-kind", ())
            if name["group"] == EEM_GROUP and "spec" in one.get("properties", ())
        }

    def until_seen(self, resources: Sequence[str] = WATCHED, seconds: float = SEEN_SECONDS) -> None:
        """Wait until every replica holds exactly the objects of *resources* that there are, each in its last state."""

        def look() -> bool:
            present = {resource: self._present(resource) for resource in resources}
            return all(
                same(found, present[resource])
                for replica in self.replicas()
                for resource, found in self._held(replica, resources).items()
            )

        try:
            wait_until(look, f"every replica to hold all {', '.join(resources)}", seconds=seconds)
        except TimeoutError as error:
            present = {resource: self._present(resource) for resource in resources}
            known = {replica: self._held(replica, resources) for replica in self.replicas()}
            raise TimeoutError(f"{error}; there are {present}, they hold {known}\n{self.last_words()}") from None

    def until_told(self, resource: str, since: float) -> None:
        """Wait until the watch of *resource* has brought every replica something after *since* (Unix time)."""
        name = f'eem_guardrail_cache_last_event_timestamp_seconds{{resource="{resource}"}}'

        def look() -> bool:
            return all(gauge(self.metrics(replica), name) >= since for replica in self.replicas())

        wait_until(look, f"news of {resource} on every replica", seconds=SEEN_SECONDS)

    def exits(self, replicas: set[str]) -> dict[str, tuple[int, bool]]:
        """Wait until *replicas* have ended; return the status of each, and whether it had to be killed."""

        def look() -> dict[str, tuple[int, bool]] | None:
            ended = {}
            for line in complete_lines(self._machine.logs / "kubelet.jsonl"):
                event = json.loads(line)
                name = event["pod"].rpartition("/")[2]
                if event["event"] == "ended" and name in replicas:
                    ended[name] = (event["status"], event["killed"])
                elif event["event"] == "started":
                    ended.pop(name, None)  # what ended before was killed, and began again
            return ended if ended.keys() == replicas else None

        return wait_until(look, f"the end of {replicas}", seconds=ENDED_SECONDS)

    def _present(self, resource: str) -> Known:
        """Sum up what there is of *resource*."""
        if resource not in PATHS:
            there = self._machine.must("get", resource, "--all-namespaces", f"--output=jsonpath={STATES}").stdout
            return summed_up(there.splitlines())
        listed = json.loads(self._machine.read(PATHS[resource]))["items"]
        metas = [one["metadata"] for one in listed]
        return summed_up(f"{one.get('namespace', '')}/{one['name']} {one['resourceVersion']}" for one in metas)

    def _held(self, replica: str, resources: Sequence[str]) -> dict[str, Known]:
        """Read what one replica holds of each of *resources*."""
        metrics = self.metrics(replica)
        return {one: held(metrics, one) for one in resources}

    def metrics(self, replica: str) -> str:
        """Read the metrics of one replica."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/http:{replica}:8080/proxy/metrics"
        return self._machine.read(path)

    def sum_of(self, replica: str, metric: str) -> float:
        """Add up the values that one metric of one replica has, whatever its labels say."""
        found = re.findall(rf"^{re.escape(metric)}(?:\{{.*\}})? (\S+)$", self.metrics(replica), re.MULTILINE)
        return sum(map(float, found))

    def _pods(self) -> list[Json]:
        """Read the pods that are not on their way out."""
        pods = json.loads(self._machine.read(f"/api/v1/namespaces/{NAMESPACE}/pods"))["items"]
        return [one for one in pods if "deletionTimestamp" not in one["metadata"]]

    def replicas(self) -> list[str]:
        """Return the names of the pods that serve and are not terminating."""
        return [one["metadata"]["name"] for one in self._pods()]

    def ready(self) -> list[str]:
        """Return the names of those that are ready."""
        return [one["metadata"]["name"] for one in self._pods() if is_ready(one)]

    def until_noticed(self, replicas: set[str], since: str) -> None:
        """
        Wait until the kubelet has told the API server that all *replicas* have ended, whatever came of them since.

        Args:
            since: the time, as ISO 8601, before which an end does not count.
        """

        def look() -> bool:
            events = [json.loads(line) for line in complete_lines(self._machine.logs / "kubelet.jsonl")]
            ended = {one["pod"].rpartition("/")[2] for one in events if one["event"] == "ended" and one["time"] > since}
            return replicas <= ended

        wait_until(look, f"the end of {replicas} to be noticed", seconds=ENDED_SECONDS)

    def until_ready(self, seconds: float = ROLLOUT_SECONDS) -> None:
        """Wait until every pod that there is is ready."""
        try:
            wait_until(lambda: all(map(is_ready, self._pods())), "every replica ready", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.last_words()}") from None


def patched(kind: str, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a kustomization's patch of one of the service's registrations."""
    return {"target": {"kind": kind, "name": NAMESPACE}, "patch": json.dumps(operations)}


def is_ready(pod: Json) -> bool:
    """Whether a pod is ready by its status."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def fields_of(schema: Mapping[str, Any]) -> Any:
    """Return the names of the fields of `spec`, and of those below."""

    def below(part: Mapping[str, Any]) -> dict[str, Any]:
        part = part.get("items", part)
        return {name: below(one) for name, one in part.get("properties", {}).items()}

    return below(schema["properties"]["spec"])
