"""Start etcd, kube-apiserver and kube-controller-manager, and say when they are ready."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from harness.api import ApiClient, ApiError
from harness.pki import write_pki

HOST = "10.99.0.1"  # on the loopback device of this network namespace alone, so every run may use it
PORT = 6443
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_HOST = "10.96.0.1"  # the API server's own Service
ADMIN_TOKEN = "e2e-admin"
CONTROLLER_TOKEN = "e2e-controller-manager"

STARTS = "starts.jsonl"  # of the API server, in the folder of the logs
READY_SECONDS = 60  # the API server takes 3 s on an idle machine
STOP_SECONDS = 5  # the API server would wait a minute for its watches
PAUSE_SECONDS = 0.1  # between two questions whether it is ready
GIB = 1024**3
MIB = 1024**2

# What the tests need of it: without the others the machine's cores are left to what is tested.
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "resourcequota-controller",  # no pod that a quota counts starts before it has been counted once
    "disruption-controller",  # who may evict which pod
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)

# From this minor release of Kubernetes on the API server finds the endpoints of a Service in EndpointSlices.
SLICES_ALONE = 33

# What the service asks, to compare with its rights; and what is done to policies, for what the service adds to it.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ["system:serviceaccount:eem-guardrail:eem-guardrail"]
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
    resources:
      - group: networking.k8s.io
        resources: [networkpolicies]
  - level: None
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one process may take: soft for Go's collector, hard for its address space."""

    memory_bytes: int
    address_space_bytes: int


# Seen: API server 276 MiB, etcd 42 MiB, controller manager 106 MiB resident. Address space is several times that:
# Go reserves arenas ahead, and etcd maps its whole quota.
LIMITS = {
    "etcd": Limits(memory_bytes=256 * MIB, address_space_bytes=4 * GIB),
    "kube-apiserver": Limits(memory_bytes=GIB, address_space_bytes=8 * GIB),
    "kube-controller-manager": Limits(memory_bytes=512 * MIB, address_space_bytes=8 * GIB),
}
ETCD_QUOTA_BYTES = 512 * MIB
# The witness reads one file: after 100 MiB, which are five minutes at 200 edits a second, it would be another.
AUDIT_MEBIBYTES = 16 * 1024


class PlaneError(RuntimeError):
    """Raised when a part of the control plane did not start; the text has its last output."""


class Plane:
    """The control plane under one folder: certificates, data, logs, kubeconfig files."""

    limits: Mapping[str, Limits] = LIMITS

    def __init__(self, folder: Path, binaries: Mapping[str, str]) -> None:
        self._folder = folder
        self._binaries = binaries
        self._ends: set[asyncio.Task[int]] = set()
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{HOST}:{PORT}"

    @property
    def pki(self) -> Path:
        """The folder with the certificates and keys of the control plane."""
        return self._folder / "pki"

    @property
    def ca(self) -> Path:
        """The file with the certificate that signed the API server's."""
        return self.pki / "ca.crt"

    @property
    def search_path(self) -> str:
        """PATH of everything that is started."""
        return os.environ["PATH"]

    async def start(self) -> ApiClient:
        """Start it all and return a client of the API server, which is ready then."""
        self._write_files()
        await self.start_part("etcd")
        client = ApiClient(self.url, self.ca, ADMIN_TOKEN)
        try:
            await self.start_part("kube-apiserver", client)
        except PlaneError:
            await client.close()
            raise
        await self.start_part("kube-controller-manager")
        return client

    async def start_part(self, name: str, client: ApiClient | None = None) -> None:
        """
        Start one process; with *client*, wait until the API server is ready.

        Raises:
            PlaneError: it ended, or was not ready in time.
        """
        flags = {
            "etcd": self._etcd_flags,
            "kube-apiserver": self._apiserver_flags,
            "kube-controller-manager": self._controller_flags,
        }
        began = time.time()
        await self._spawn(name, flags[name]())
        if client is not None:
            await self._until_ready(client)
            with (self._folder / "logs" / STARTS).open("a") as log:
                log.write(json.dumps({"began": began, "ready": time.time()}) + "\n")

    async def stop_part(self, name: str) -> None:
        """End one process as a node that is shut down does: asked first, then made to."""
        process = self.processes[name]
        self._ends = {end for end in self._ends if end.get_name() != name}
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def back_up(self) -> None:
        """Copy the data of etcd, which stops for that moment."""
        await self.stop_part("etcd")
        shutil.copytree(self._folder / "etcd", self._folder / "backup")
        await self.start_part("etcd")

    async def restore(self) -> None:
        """Start etcd with the data of the backup, and so with numbers that have been given out already."""
        await self.stop_part("etcd")
        shutil.rmtree(self._folder / "etcd")
        (self._folder / "backup").rename(self._folder / "etcd")
        await self.start_part("etcd")

    def _write_files(self) -> None:
        for name in ("pki", "logs", "etcd"):
            (self._folder / name).mkdir()
        in_cluster = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        write_pki(self.pki, names=in_cluster, addresses=[HOST, SERVICE_HOST])
        (self._folder / "audit-policy.yaml").write_text(AUDIT_POLICY)
        (self._folder / "tokens.csv").write_text("\n".join(self._users()) + "\n")
        for name, token in (("admin", ADMIN_TOKEN), ("controller-manager", CONTROLLER_TOKEN)):
            (self._folder / f"{name}.kubeconfig").write_text(kubeconfig(self.url, self.ca, token))

    def _users(self) -> list[str]:
        """List who may come with which token: token, user, uid, groups."""
        return [
            f'{ADMIN_TOKEN},platform-admin,platform-admin,"system:masters"',
            f"{CONTROLLER_TOKEN},system:kube-controller-manager,system:kube-controller-manager",
        ]

    def _controllers(self) -> Sequence[str]:
        """List the controllers that are to run."""
        older = minor_of(self._binaries["kube-apiserver"]) < SLICES_ALONE
        return (*CONTROLLERS, "endpoints-controller") if older else CONTROLLERS

    def _etcd_flags(self) -> list[str]:
        return [
            f"--data-dir={self._folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--watch-progress-notify-interval=5s",  # as kubeadm sets it: else idle watches get no bookmarks
            f"--quota-backend-bytes={ETCD_QUOTA_BYTES}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--log-level=warn",
        ]

    def _apiserver_flags(self) -> list[str]:
        pki = self.pki
        return [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={PORT}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--service-account-key-file={pki / 'tokens.pub'}",
            f"--service-account-signing-key-file={pki / 'tokens.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--enable-aggregator-routing",  # it dials a ready endpoint of the Service itself; nothing here routes
            f"--audit-policy-file={self._folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self._folder / 'logs' / 'audit.jsonl'}",
            f"--audit-log-maxsize={AUDIT_MEBIBYTES}",
        ]

    def _controller_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self._folder / 'controller-manager.kubeconfig'}",
            f"--service-account-private-key-file={self._folder / 'pki' / 'tokens.key'}",
            f"--root-ca-file={self.ca}",
            "--use-service-account-credentials",  # so that each controller comes under its own name
            f"--controllers={','.join(self._controllers())}",
            "--leader-elect=false",
        ]

    async def _spawn(self, name: str, flags: Sequence[str]) -> None:
        limits = self.limits[name]
        with (self._folder / "logs" / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                "prlimit",
                f"--as={limits.address_space_bytes}",
                self._binaries[name],
                *flags,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"GOMEMLIMIT": str(limits.memory_bytes), "PATH": self.search_path},
            )
        self.processes[name] = process
        self._ends.add(asyncio.create_task(process.wait(), name=name))

    async def _until_ready(self, client: ApiClient) -> None:
        """Wait until the API server is ready; say why where something ended instead."""
        answer = "no answer yet"
        try:
            async with asyncio.timeout(READY_SECONDS):
                while answer != "ok":
                    await self._watch_ends(PAUSE_SECONDS)
                    try:
                        answer = str(await client.ask("GET", "/readyz"))
                    except (ApiError, aiohttp.ClientError) as error:
                        answer = str(error)
        except TimeoutError:
            last = self._last_words("kube-apiserver")
            raise PlaneError(f"kube-apiserver: not ready within {READY_SECONDS} s ({answer})\n{last}") from None

    async def _watch_ends(self, seconds: float) -> None:
        """
        Watch the processes for *seconds*.

        Raises:
            PlaneError: one ended.
        """
        ended, _ = await asyncio.wait(self._ends, timeout=seconds)
        for end in ended:
            raise PlaneError(f"{end.get_name()} ended with status {end.result()}\n{self._last_words(end.get_name())}")

    def _last_words(self, name: str) -> str:
        return "\n".join((self._folder / "logs" / f"{name}.log").read_text().splitlines()[-10:])


def minor_of(apiserver: str) -> int:
    """Ask an API server's command for its minor release."""
    said = subprocess.run([apiserver, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v1\.(\d+)\.", said)
    if found is None:
        raise PlaneError(f"{apiserver} is of no release of Kubernetes 1: {said}")
    return int(found.group(1))


def kubeconfig(url: str, ca: Path, token: str) -> str:
    """Write the settings of a client that has a token."""
    return f"""\
apiVersion: v1
kind: Config
clusters: [{{name: e2e, cluster: {{server: "{url}", certificate-authority: "{ca}"}}}}]
users: [{{name: e2e, user: {{token: "{token}"}}}}]
contexts: [{{name: e2e, context: {{cluster: e2e, user: e2e}}}}]
current-context: e2e
"""
