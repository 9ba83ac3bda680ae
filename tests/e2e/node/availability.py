"""
Report whether this machine can be a node.

    PYTHONPATH=tests:tests/e2e python -m node.availability

ends with 0 where it can, and else with 3, which no failure of Python's ends with, and one line about what is missing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

UNAVAILABLE = 3
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CNI_FOLDER = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
# Command and the Debian package that has it.
NEEDED = {
    "apt-get": "apt",
    "buildah": "buildah",
    "conntrack": "conntrack",
    "debootstrap": "debootstrap",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
}
PROBE_SECONDS = 60
ISOLATION = ("--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
SEARCH_PATH = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])


def search_path(environment: Mapping[str, str]) -> str:
    """Return PATH with the folders of root's commands."""
    return os.pathsep.join([environment.get("PATH", ""), SEARCH_PATH])


def missing(user: int, environment: Mapping[str, str]) -> Iterator[str]:
    """List what a node needs and this machine does not give to *user*."""
    if user != 0:
        yield "root"
    path = search_path(environment)
    packages = {package for command, package in NEEDED.items() if shutil.which(command, path=path) is None}
    if not (CNI_FOLDER / "ptp").exists():
        packages.add("containernetworking-plugins")
    if not CERTIFICATES.exists():
        packages.add("ca-certificates")
    yield from (f"the Debian package {package}" for package in sorted(packages))
    if not os.access(CGROUPS, os.W_OK):
        yield "control groups that can be written"
    if user == 0 and not packages:
        if mirror() is None:
            yield "Debian's archive among apt's sources"
        if not succeeds(path, "unshare", *ISOLATION, "nft", "list", "ruleset"):
            yield "the right to namespaces and packet rules of its own, which root in a container may lack"


def succeeds(path: str, *command: str) -> bool:
    """Whether *command* succeeds."""
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, timeout=PROBE_SECONDS, check=False)
    return done.returncode == 0


def mirror() -> str | None:
    """Ask apt where it gets Debian itself from; None where it gets it from nowhere, as on another distribution."""
    command = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    return next((one for one in done.stdout.splitlines() if one.rstrip("/").endswith("/debian")), None)


def reason() -> str:
    """Return in one line why this machine cannot be a node; "" if it can."""
    found = list(missing(os.geteuid(), os.environ))
    return f"it needs {', '.join(found)}" if found else ""


def main() -> int:
    """Print the reason, if there is one."""
    found = reason()
    if found:
        print(f"the node part is not run: {found}", file=sys.stderr)
    return UNAVAILABLE if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
