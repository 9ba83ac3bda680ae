"""The service installed as its base has it, and the registration kept by programs beside it."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.guard import CHECKOUT, MANIFESTS, NAMESPACE, Guard
from harness.machine import Machine
from harness.objects import listed
from harness.plane import HOST, PORT
from harness.waiting import wait_until

CONFIGURATIONS = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")
CANARY = "eem-guardrail-canary"
PAIR = ("ca.crt", "tls.crt", "tls.key")
PATIENCE_SECONDS = 30
STOP_SECONDS = 10


class BareGuard(Guard):
    """The service as its base installs it, with a pair of `python -m certs`; no program keeps the registration."""

    def install(self) -> None:
        """Apply the base, and wait until every replica is ready."""
        pair = self._machine.folder / "tls"
        command = [sys.executable, "-m", "certs", "init", "--out", str(pair)]
        subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
        self.write_overlay()
        self.apply()
        files = [f"--from-file={name}={pair / name}" for name in PAIR]
        self._machine.must("create", "secret", "generic", "eem-guardrail-tls", f"--namespace={NAMESPACE}", *files)
        self.until_rolled_out()

    def write_overlay(self) -> None:
        """Write a kustomization: the base with all its rights, a mounted pair, and replicas that register nothing."""
        self._overlay.mkdir()
        folders = [MANIFESTS / "components" / name for name in ("mounted-certificates", "static-registration")]
        patches = [{"patch": (folder / "deployment.yaml").read_text()} for folder in folders]
        base = os.path.relpath(MANIFESTS / "base", self._overlay.resolve())
        kustomization = {"resources": [base], "patches": patches, "sortOptions": {"order": "fifo"}}
        (self._overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    def apply(self, *flags: str) -> None:
        """Apply the manifests, once more perhaps."""
        self._machine.must("apply", *flags, "-k", str(self._overlay))

    def apply_registration(self, *flags: str) -> None:
        """Apply of the manifests the two configurations alone."""
        objects = yaml.safe_load_all(self._machine.must("kustomize", str(self._overlay)).stdout)
        shipped = [one for one in objects if one["kind"].lower() in CONFIGURATIONS]
        self._machine.must("apply", *flags, "-f", "-", stdin=listed(*shipped))

    def configuration(self, kind: str = CONFIGURATIONS[0]) -> dict[str, Any] | None:
        """Return one configuration with its managed fields; None if it does not exist."""
        return next(iter(self._configurations(kind)), None)

    def _configurations(self, *kinds: str) -> list[dict[str, Any]]:
        flags = ("--output=json", "--show-managed-fields", "--ignore-not-found")
        answer = self._machine.must("get", *(f"{kind}/{NAMESPACE}" for kind in kinds), *flags)
        found: dict[str, Any] = answer.json if answer.stdout else {"items": []}
        items: list[dict[str, Any]] = found.get("items", [found])
        return items

    def owned(self, *kinds: str) -> dict[str, Any]:
        """Return the fields of configurations that the service keeps: its own entry, and the bundle of the others."""
        found = self._configurations(*(kinds or CONFIGURATIONS[:1]))
        return {
            one["name"]: one if one["name"].startswith("networkpolicies") else one["clientConfig"].get("caBundle")
            for configuration in found
            for one in configuration.get("webhooks") or ()
        }

    def bundle(self) -> str:
        """Return the caBundle to publish, as the API writes it."""
        return base64.b64encode((self._machine.folder / "tls" / "ca.crt").read_bytes()).decode()


@dataclass
class Registrars:
    """Programs that keep the registration, each as a replica would, with the service's own account."""

    machine: Machine
    guard: BareGuard
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, identity: str, *, injected: bool = False) -> None:
        """Start one; it takes part in the election at once."""
        token = self.machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}", "--duration=1h").stdout
        replica = self.guard.replicas()[0]
        pod = self.machine.must("get", "pod", replica, f"--namespace={NAMESPACE}", "--output=json").json
        settings = {
            "url": f"https://{HOST}:{PORT}",
            "ca": str(self.machine.folder / "pki" / "ca.crt"),
            "token": token.strip(),
            "bundle": str(self.machine.folder / "tls" / "ca.crt"),
            "host": pod["status"]["podIP"],
            "identity": identity,
            "injected": injected,
        }
        log = self.machine.logs / f"registrar-{identity}.log"
        self.running[identity] = self.machine.start_program("harness.registrar", settings, log)

    def status(self, identity: str) -> dict[str, Any]:
        """Ask one how it is."""
        process = self.running[identity]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("status\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, (self.machine.logs / f"registrar-{identity}.log").read_text()[-3000:]
        found: dict[str, Any] = json.loads(line)
        assert found["ended"] == []
        return found

    def statuses(self) -> list[dict[str, Any]]:
        """Ask all."""
        return [self.status(identity) for identity in self.running]

    def writes(self) -> int:
        """Count what all of them have written."""
        return sum(one["writes"] for one in self.statuses())

    def leader(self) -> dict[str, Any] | None:
        """Return the status of the leader."""
        return next((one for one in self.statuses() if one["leads"]), None)

    def until(self, look: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until there is one that leads, and its status is as it should be; give it."""

        def found() -> dict[str, Any] | None:
            leader = self.leader()
            return leader if leader is not None and look(leader) else None

        try:
            return wait_until(found, what, seconds=PATIENCE_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {self.statuses()}; {self.guard.owned()}") from None

    def until_kept(self, *namespaces: str) -> None:
        """Wait until these namespaces, and the canary's, are registered, and a heartbeat was refused."""
        wanted = sorted([*namespaces, CANARY])
        self.until(lambda one: one["registered"] == wanted and one["proven"], f"{wanted} to be registered")

    def kill(self, identity: str) -> None:
        """End one at once, so that it can give nothing back."""
        process = self.running.pop(identity)
        process.kill()
        process.communicate()

    def stop(self) -> None:
        """End all as they should be ended."""
        for process in self.running.values():
            process.communicate(timeout=STOP_SECONDS)
        self.running.clear()
