"""The service on the machine: installed as its manifests say, heard through its decision log."""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.machine import CHECKOUT, Answer, Machine
from harness.objects import listed, namespace, policy
from harness.waiting import wait_until

NAMESPACE = "eem-guardrail"
MANIFESTS = CHECKOUT / "manifests"
REGISTRATION = MANIFESTS / "components" / "static-registration" / "validatingwebhookconfiguration.yaml"

# Registered by hand, as static-registration wants it. Each case takes the next one: none sees another's policies.
GUARDED = tuple(f"eem-{number:02}" for number in range(60))
# Registered without matchConditions, so that the service itself is asked about what these keep out elsewhere.
BARE = tuple(f"bare-{number:02}" for number in range(20))
PROBED = (GUARDED[0], BARE[0])

CRDS = CHECKOUT / "tests" / "e2e" / "crds"
WATCHED = ("networkpolicies", "namespaces", "pods", "eventgateways", "eventendpointmanagements")

ROLLOUT_SECONDS = 90
HEARD_SECONDS = 10  # the service writes a line as it answers; what is waited for is the file
ENDED_SECONDS = 60  # above terminationGracePeriodSeconds
SEEN_SECONDS = 10  # a watch takes milliseconds
KINDS_SECONDS = 60  # a kind that is not there is looked for again and again, but not all the time
REGISTERED_SECONDS = 30  # the API server honours a new registration within a second or two


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One line of the decision log."""

    uid: str
    operation: str
    namespace: str
    name: str
    user: str
    result: str
    message: str
    milliseconds: float


class Guard:
    """The installed service."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._overlay = machine.folder / "overlay"
        self._heard: set[str] = set()
        self.first_replicas: set[str] = set()

    @property
    def overlay(self) -> Path:
        """The kustomization that was applied."""
        return self._overlay

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
        self._machine.must("apply", "-k", str(self._overlay))
        files = [f"--from-file={name}={pair / name}" for name in ("ca.crt", "tls.crt", "tls.key")]
        self._machine.must("create", "secret", "generic", "eem-guardrail-tls", f"--namespace={NAMESPACE}", *files)
        self.until_rolled_out()
        self.first_replicas = set(self.replicas())
        for name in PROBED:
            self._machine.must("apply", "-f", "-", stdin=listed(*namespace(name)))
            self._until_registered(name)

    def _write_overlay(self, ca: bytes) -> None:
        """Write the kustomization of this cluster: base, static registration, and the two fields that are its own."""
        self._overlay.mkdir()
        bundle = base64.b64encode(ca).decode()
        selector = "/webhooks/0/namespaceSelector/matchExpressions/0/values"
        patch = [
            {"op": "replace", "path": selector, "value": list(GUARDED)},
            {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle},
        ]
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(MANIFESTS / "base", self._overlay), "bare.yaml"],
            "components": [os.path.relpath(REGISTRATION.parent, self._overlay)],
            "patches": [
                {
                    "target": {"kind": "ValidatingWebhookConfiguration", "name": "eem-guardrail"},
                    "patch": json.dumps(patch),
                }
            ],
        }
        (self._overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        bare = yaml.safe_load(REGISTRATION.read_text())
        bare["metadata"]["name"] = "bare"
        (webhook,) = bare["webhooks"]
        del webhook["matchConditions"]
        webhook["clientConfig"]["caBundle"] = bundle
        webhook["namespaceSelector"]["matchExpressions"][0]["values"] = list(BARE)
        (self._overlay / "bare.yaml").write_text(yaml.safe_dump(bare))

    def _until_registered(self, name: str) -> None:
        try:
            wait_until(lambda: self._is_asked(name), "the registration", seconds=REGISTERED_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.last_words()}") from None

    def _is_asked(self, name: str) -> bool:
        """Send a change that is never made and look whether the service heard of it."""
        harmless = policy(name, "probe", selector={"matchLabels": {"probe": "registration"}})
        self._machine.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(harmless))
        return any(decision.namespace == name for decision in self._decisions())

    def until_rolled_out(self) -> None:
        """Wait until every replica of the newest generation is ready."""
        deployment = f"deployment/{NAMESPACE}"
        timeout = f"--timeout={ROLLOUT_SECONDS}s"
        answer = self._machine.kubectl(
            "rollout", "status", deployment, f"--namespace={NAMESPACE}", timeout, seconds=100
        )
        if answer.status != 0:
            raise AssertionError(f"{answer.stdout}{answer.stderr}\n{self.last_words()}")

    def last_words(self) -> str:
        """Give the end of what the service's processes said, for a failure's text."""
        files = [*self._log_files(), self._machine.logs / "kubelet.jsonl"]
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in files if path.exists())

    def restart(self) -> None:
        """Replace every replica, as `kubectl rollout restart` does."""
        self._machine.must("rollout", "restart", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}")
        self.until_rolled_out()

    @contextlib.contextmanager
    def absent(self) -> Iterator[None]:
        """Take every replica away for a while, and have as many again afterwards."""
        replicas = set(self.replicas())
        self._scale(0)
        self.exits(replicas)
        try:
            yield
        finally:
            self._scale(len(replicas))

    def _scale(self, replicas: int) -> None:
        command = ("scale", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}", f"--replicas={replicas}")
        self._machine.must(*command)
        self.until_rolled_out()

    def _log_files(self) -> list[Path]:
        return sorted(self._machine.logs.glob(f"{NAMESPACE}-*.log"))

    def raw_lines(self) -> list[str]:
        """Every line that any replica has written so far, whatever it is."""
        return [line for path in self._log_files() for line in path.read_text().splitlines()]

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield every JSON line that any replica has written so far."""
        for line in self.raw_lines():
            if line.startswith("{"):
                yield json.loads(line)

    def _decisions(self) -> list[Decision]:
        fields = Decision.__dataclass_fields__
        return [
            Decision(**{name: line.get(name, "") for name in fields})
            for line in self.lines()
            if "uid" in line and "result" in line
        ]

    def unheard(self, namespace: str) -> list[Decision]:
        """Give the decisions about *namespace* that no assertion has taken yet."""
        return [one for one in self._decisions() if one.namespace == namespace and one.uid not in self._heard]

    def heard(self, namespace: str, operation: str, name: str | None, result: str, user: str | None = None) -> Decision:
        """
        Take the decision about one change out of the log, by its uid: no other assertion can lean on it.

        Raises:
            TimeoutError: the service was not asked, or decided otherwise; the text has what it did decide.
        """

        def look() -> Decision | None:
            for one in self.unheard(namespace):
                if (one.operation, one.result) != (operation, result):
                    continue
                if name in (None, one.name) and user in (None, one.user):
                    return one
            return None

        wanted = f"{result} {operation} {namespace}/{name or '*'} by {user or 'anyone'}"
        try:
            found = wait_until(look, wanted, seconds=HEARD_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; untaken: {self.unheard(namespace)}") from None
        self._heard.add(found.uid)
        return found

    def forget(self, namespace: str) -> None:
        """Take every decision so far: what comes later is what counts."""
        self._heard.update(one.uid for one in self.unheard(namespace))

    def until_marked(self, namespace: str, name: str) -> Decision:
        """Wait for the line about a policy *name* that nobody else uses, and take it."""

        def look() -> Decision | None:
            return next((one for one in self.unheard(namespace) if one.name == name), None)

        marked = wait_until(look, f"the mark {namespace}/{name}", seconds=HEARD_SECONDS)
        self._heard.add(marked.uid)
        return marked

    def add_kinds(self) -> None:
        """Add the kinds of Event Endpoint Management and wait until every replica reads them."""
        before = self._machine.must("get", "customresourcedefinitions", "--output=name").stdout
        if "events.ibm.com" in before:
            raise AssertionError(f"the kinds were there before the service: {before}")
        self._machine.must("apply", "-f", str(CRDS))
        self._machine.must("wait", "--for=condition=Established", f"--timeout={ROLLOUT_SECONDS}s", "-f", str(CRDS))
        self.until_seen(seconds=KINDS_SECONDS)

    def until_seen(self, resources: Sequence[str] = WATCHED, seconds: float = SEEN_SECONDS) -> None:
        """Wait until every replica holds as many objects of *resources* as there are."""

        def look() -> bool:
            present = {resource: self._count(resource) for resource in resources}
            return all(self._held(replica, resources) == present for replica in self.replicas())

        try:
            wait_until(look, f"every replica to hold all {', '.join(resources)}", seconds=seconds)
        except TimeoutError as error:
            present = {resource: self._count(resource) for resource in resources}
            held = {replica: self._held(replica, resources) for replica in self.replicas()}
            raise TimeoutError(f"{error}; there are {present}, they hold {held}\n{self.last_words()}") from None

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
            for line in (self._machine.logs / "kubelet.jsonl").read_text().splitlines():
                event = json.loads(line)
                name = event["pod"].rpartition("/")[2]
                if event["event"] == "ended" and name in replicas:
                    ended[name] = (event["status"], event["killed"])
            return ended if ended.keys() == replicas else None

        return wait_until(look, f"the end of {replicas}", seconds=ENDED_SECONDS)

    def _count(self, resource: str) -> int:
        return len(self._machine.must("get", resource, "--all-namespaces", "--output=name").stdout.splitlines())

    def _held(self, replica: str, resources: Sequence[str]) -> dict[str, int]:
        """Read how many objects of each of *resources* one replica holds."""
        metrics = self.metrics(replica)
        return {one: int(gauge(metrics, f'eem_guardrail_cache_objects{{resource="{one}"}}')) for one in resources}

    def metrics(self, replica: str) -> str:
        """Read the metrics of one replica."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/http:{replica}:8080/proxy/metrics"
        return self._machine.must("get", "--raw", path).stdout

    def replicas(self) -> list[str]:
        """Name the pods that serve and are not on their way out."""
        pods = self._machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
        return [one["metadata"]["name"] for one in pods if "deletionTimestamp" not in one["metadata"]]


def gauge(metrics: str, name: str) -> float:
    """Read one value from metrics in text form; 0 where it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def refusal(answer: Answer) -> str:
    """Give the text of a refusal by the service, as kubectl printed it; "" where it printed something else."""
    _, found, text = answer.stderr.partition(
        'admission webhook "networkpolicies.eem-guardrail.io" denied the request: '
    )
    return text.strip() if found and answer.status == 1 and "(Forbidden)" in answer.stderr else ""
