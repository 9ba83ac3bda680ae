"""Make a machine of the namespaces of process 1: mounts, names, devices, and a network outside of it."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from harness.plane import HOST

from node.availability import search_path
from node.files import NODE, Layout

DEVICE, PEER = "e2e-node", "e2e-peer"
OUTSIDE = "outside"  # the network namespace of clients that are not pods
# Inside and outside of the ranges in the policies of the oracle. None of them is the address of a pod or of the node.
OUTSIDE_ADDRESSES = ("203.0.113.7", "203.0.113.200", "198.51.100.20", "10.9.9.9", "192.168.10.5", "100.64.0.9")
# The kubelet sets these for the whole machine if they differ. In the node, a file with the expected value is mounted
# over each, so the kubelet finds them as expected and the settings of the machine stay.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def run(*command: str) -> None:
    """Run one command, and raise if it fails."""
    subprocess.run(command, check=True)


def isolate(layout: Layout) -> None:
    """Make this mount namespace the node's: shared mounts for the kubelet, and folders of the node."""
    run("mount", "--make-rshared", "/")
    socket.sethostname(NODE)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path in ("/var/lib/kubelet", "/var/lib/cni", "/var/log"):
        own = layout.folder / "disk" / path.lstrip("/")
        own.mkdir(parents=True, exist_ok=True)
        Path(path).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(own), path)
    wanted = layout.folder / "kernel"
    wanted.mkdir(exist_ok=True)
    for name, value in KERNEL_SETTINGS.items():
        file = wanted / name.replace("/", ".")
        file.write_text(f"{value}\n")
        run("mount", "--bind", str(file), f"/proc/sys/{name}")


def connect() -> None:
    """
    Make the network: a device with the address of the node, and clients outside the cluster.

    It uses a pair of devices, because some kernels have no dummy devices. A default route is on it, because the address
    of a Service needs a route before it is translated. No packet leaves the machine.
    """
    ip = shutil.which("ip", path=search_path(os.environ)) or "ip"
    run(ip, "link", "set", "lo", "up")
    run(ip, "link", "add", DEVICE, "type", "veth", "peer", "name", PEER)
    run(ip, "address", "add", f"{HOST}/24", "dev", DEVICE)
    for device in (DEVICE, PEER):
        run(ip, "link", "set", device, "up")
    run(ip, "route", "add", "default", "dev", DEVICE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    run(ip, "netns", "add", OUTSIDE)
    run(ip, "link", "add", OUTSIDE, "type", "veth", "peer", "name", "eth0", "netns", OUTSIDE)
    run(ip, "link", "set", OUTSIDE, "up")
    there = (ip, "-n", OUTSIDE)
    for device in ("lo", "eth0"):
        run(*there, "link", "set", device, "up")
    for address in OUTSIDE_ADDRESSES:
        run(*there, "address", "add", f"{address}/32", "dev", "eth0")
        run(ip, "route", "add", address, "dev", OUTSIDE)
    run(*there, "route", "add", HOST, "dev", "eth0")
    run(*there, "route", "add", "default", "via", HOST, "dev", "eth0", "src", OUTSIDE_ADDRESSES[0])
