"""The service as it is shipped: it makes its own certificates and registers itself, here with lives of seconds."""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from harness.certificates import Kept
from harness.decisions import DEFAULTS, INSTANCES, POLICIES
from harness.guard import MANIFESTS, NAMESPACE, REGISTERED_SECONDS, Guard
from harness.machine import Machine
from harness.objects import Json
from harness.waiting import wait_until

CONFIGURATIONS = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")
# How GitOps takes away what is no longer among the manifests, of the two configurations.
PRUNING = (
    "--prune",
    "--selector=app.kubernetes.io/name=eem-guardrail",
    "--prune-allowlist=admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration",
    "--prune-allowlist=admissionregistration.k8s.io/v1/MutatingWebhookConfiguration",
)
LEASE_SECONDS = 40  # a replica that was killed holds the Lease for 15 s; then another looks each 2 s

# A third of a leaf's life is left when it is renewed: that must be more than the 17 s which pass until another replica
# may write in place of one that was killed. An authority is not replaced while a case runs, but where it asks for that.
LIVES = {
    "EEM_GUARDRAIL_LEAF_SECONDS": "60",
    "EEM_GUARDRAIL_PROPAGATION_SECONDS": "3",
    "EEM_GUARDRAIL_CA_SECONDS": "3600",
    "EEM_GUARDRAIL_REGISTER": "on",
}


class RegisteringGuard(Guard):
    """
    The installed service, which keeps its own registration.

    Args:
        replicas: how many.
        variables: what every replica is told.
    """

    def __init__(self, machine: Machine, replicas: int, variables: Mapping[str, str] = LIVES) -> None:
        container = {"name": NAMESPACE, "env": [{"name": name, "value": value} for name, value in variables.items()]}
        super().__init__(machine, {"spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}}})
        self.kept = Kept(machine)
        self._overlay = machine.folder / "shipped"

    def install(self) -> None:
        """Apply the manifests, and wait until the service has registered itself."""
        self._overlay.mkdir()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(MANIFESTS / "base", self._overlay.resolve())],
            "patches": self._merged(),
            "images": self._images(),
        }
        (self._overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        self.apply()
        self.until_rolled_out()
        self.first_replicas = set(self.replicas())
        self.until_registered()

    def install_again(self) -> None:
        """Apply the manifests again after they were deleted, and wait until the service has registered itself."""
        self.apply()
        self.until_rolled_out()
        self.until_registered()
        self.until_seen()

    def apply(self, *flags: str) -> None:
        """Apply the manifests once, or once more."""
        self._machine.must("apply", *flags, "-k", str(self._overlay))

    def apply_configurations(self) -> None:
        """Apply the webhook configurations alone."""
        rendered = yaml.safe_load_all(self._machine.must("kustomize", str(self._overlay)).stdout)
        self._machine.apply(*(one for one in rendered if one["kind"].lower() in CONFIGURATIONS))

    def entries(self) -> list[Json]:
        """Read the entries of both configurations."""
        names = [f"{kind}/{NAMESPACE}" for kind in CONFIGURATIONS]
        found = self._machine.must("get", *names, "--ignore-not-found", "--output=json").stdout
        items: list[dict[str, Any]] = yaml.safe_load(found)["items"] if found else []
        return [entry for one in items for entry in one.get("webhooks", ())]

    def is_registered(self) -> bool:
        """Whether every entry exists, with the bundle of the Secret."""
        entries, bundle = self.entries(), self.kept.encoded_bundle()
        names = {entry["name"] for entry in entries}
        return POLICIES in names and all(entry["clientConfig"].get("caBundle") == bundle for entry in entries)

    def until_registered(self, seconds: float = REGISTERED_SECONDS) -> None:
        """Wait until the service has registered itself, or has repaired its registration."""
        self._until(self.is_registered, "the registration", seconds)

    def until_guarded(self, name: str) -> None:
        """Wait until a new namespace of Event Endpoint Management is registered, and the API server goes by that."""
        self._until(lambda: name in self.registered(), f"{name} in the registration", REGISTERED_SECONDS)
        self._until_registered(name)

    def registered(self) -> list[str]:
        """Return the namespaces about whose policies the API server asks."""
        own = [one for one in self.entries() if one["name"] == POLICIES]
        return [name for one in own for name in one["namespaceSelector"]["matchExpressions"][0]["values"]]

    def leader(self) -> str | None:
        """Return the pod that holds the Lease; None if no existing pod does."""
        lease = self._machine.must("get", "lease", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json").json
        holder = lease["spec"].get("holderIdentity") or ""
        return next((pod for pod in self.replicas() if holder.startswith(pod)), None)

    def until_led(self) -> str:
        """Wait until one of the replicas holds the Lease, and name it."""
        return wait_until(self.leader, "a leader", seconds=LEASE_SECONDS)

    def kill_leader(self) -> float:
        """Kill the leader, and return the time."""
        leader, at = self.until_led(), time.time()
        self._machine.order("signal", name=leader, signal_name="KILL")
        return at

    def wipe(self) -> None:
        """Remove the caBundle from every validating entry, as another manager would."""
        count = sum(one["name"] != DEFAULTS for one in self.entries())
        operations = [{"op": "remove", "path": f"/webhooks/{at}/clientConfig/caBundle"} for at in range(count)]
        flags = ("--type=json", "--field-manager=other", f"--patch={json.dumps(operations)}")
        self._machine.must("patch", CONFIGURATIONS[0], NAMESPACE, *flags)

    def drift(self) -> None:
        """Change a field that the manifests own."""
        validating = [one for one in self.entries() if one["name"] != DEFAULTS]
        (at,) = [at for at, one in enumerate(validating) if one["name"] == INSTANCES]
        patch = json.dumps([{"op": "replace", "path": f"/webhooks/{at}/timeoutSeconds", "value": 7}])
        self._machine.must("patch", CONFIGURATIONS[0], NAMESPACE, "--type=json", f"--patch={patch}")

    def told(self, reason: str) -> list[str]:
        """Return when each Event of one reason about the registration was last written."""
        events = self._machine.must("get", "events", "--namespace=default", "--output=json").json["items"]
        return [
            (one.get("series") or {}).get("lastObservedTime") or one["eventTime"]
            for one in events
            if one["reason"] == reason
        ]

    def _until(self, look: Callable[[], bool], what: str, seconds: float) -> None:
        try:
            wait_until(look, what, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.entries()}\n{self.last_words()}") from None
