"""Write the settings of the parts of the node: container runtime, network, kubelet and kube-proxy."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NODE = "e2e-node"
POD_RANGE = "10.244.0.0/22"
MOST_PODS = 250
RUNTIME_SOCKET = Path("/run/containerd/containerd.sock")
CNI_COMMANDS = Path("/usr/lib/cni")  # the folder of the Debian package containernetworking-plugins


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths of the files of one node, below the folder of its machine, and the name of its control group."""

    folder: Path
    group: str

    @property
    def runtime(self) -> Path:
        """The settings file of containerd."""
        return self.folder / "containerd.toml"

    @property
    def network(self) -> Path:
        """The folder with the settings of the pod network."""
        return self.folder / "cni"

    @property
    def kubelet(self) -> Path:
        """The settings file of the kubelet."""
        return self.folder / "kubelet.yaml"

    @property
    def proxy(self) -> Path:
        """The settings file of kube-proxy."""
        return self.folder / "kube-proxy.yaml"

    @property
    def rules(self) -> Path:
        """The file with the packet filter rules in force."""
        return self.folder / "enforced.nft"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of one client."""
        return self.folder / f"{user}.kubeconfig"


def write_files(layout: Layout, address: str, pause: str, runc: str) -> None:
    """Write every file that does not depend on running processes, for a node with this address."""
    layout.network.mkdir(exist_ok=True)
    layout.runtime.write_text(runtime_settings(layout, pause, runc))
    (layout.network / "10-e2e.conflist").write_text(json.dumps(network_settings()))
    (layout.folder / "resolv.conf").write_text(
        "nameserver 127.0.0.1\n"
    )  # there is no name server, and no request is sent
    layout.kubelet.write_text(json.dumps(kubelet_settings(layout, address)))
    layout.proxy.write_text(json.dumps(proxy_settings(layout)))


def runtime_settings(layout: Layout, pause: str, runc: str) -> str:
    """
    Return the settings of containerd.

    `restrict_oom_score_adj`: without CAP_SYS_RESOURCE, root may not lower a score, and no pod would start.
    """
    return f"""\
version = 4
root = '{layout.folder / "containerd"}'
state = '{RUNTIME_SOCKET.parent}'
imports = []
disabled_plugins = [
  'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.erofs', 'io.containerd.differ.v1.erofs',
  'io.containerd.tracing.processor.v1.otlp', 'io.containerd.nri.v1.nri',
]
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{pause}'
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '{runc}'
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['{CNI_COMMANDS}']
  conf_dir = '{layout.network}'
[plugins.'io.containerd.server.v1.grpc']
  address = '{RUNTIME_SOCKET}'
"""


def network_settings() -> dict[str, Any]:
    """
    Return the settings of the pod network: a pair of devices for each pod, and routes.

    With routes, packets between pods pass the forward hook without br_netfilter.
    """
    leases = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "e2e", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": leases}]}


def kubelet_settings(layout: Layout, address: str) -> dict[str, Any]:
    """
    Return the settings of the kubelet.

    It answers without authentication: only the API server reaches it, and the kubelet is not under test. It never
    evicts pods or collects images: other programs use the disk and the memory of this machine.
    """
    signals = (
        "memory.available",
        "nodefs.available",
        "nodefs.inodesFree",
        "imagefs.available",
        "imagefs.inodesFree",
    )
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.group}",
        "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "address": address,
        "resolvConf": str(layout.folder / "resolv.conf"),
        "maxPods": MOST_PODS,
        "podCIDR": POD_RANGE,
        "enforceNodeAllocatable": ["pods"],
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": dict.fromkeys(signals, "0%"),
        "seccompDefault": True,
        "failSwapOn": False,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
    }


def proxy_settings(layout: Layout) -> dict[str, Any]:
    """Return the settings of kube-proxy, which leaves the connection tracking of the machine unchanged."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "hostnameOverride": NODE,
        "clusterCIDR": POD_RANGE,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
    }
