"""
Report whether this machine can be a node of Kubernetes.

    PYTHONPATH=tests:tests/e2e python -m node.availability

ends with 0 if it can, and otherwise with 1 and one line about what is missing. With `--packages` it prints the Debian
packages that are missing for these and all other tests, on one line.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CNI_FOLDER = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
# Each command and the Debian package that has it.
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
# The same for tests that need no node.
OF_TESTS = {"chromium": "chromium", "prometheus": "prometheus", "promtool": "prometheus"}
SEARCH_PATH = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])


def search_path(environment: Mapping[str, str]) -> str:
    """Return PATH with the folders of the commands for root."""
    return os.pathsep.join([environment.get("PATH", ""), SEARCH_PATH])


def missing_packages(environment: Mapping[str, str]) -> list[str]:
    """Return the Debian packages that a node needs and this machine lacks."""
    path = search_path(environment)
    packages = missing_of(NEEDED, path)
    if not (CNI_FOLDER / "ptp").exists():
        packages.add("containernetworking-plugins")
    if not CERTIFICATES.exists():
        packages.add("ca-certificates")
    return sorted(packages)


def missing_of(packages: Mapping[str, str], path: str) -> set[str]:
    """Return the Debian packages of the commands that are not on *path*."""
    return {package for command, package in packages.items() if shutil.which(command, path=path) is None}


def missing(user: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what a node needs and this machine does not offer to *user*, a user id."""
    packages = missing_packages(environment)
    if user != 0:
        yield "root"
    yield from (f"the Debian package {package}" for package in packages)
    if not os.access(CGROUPS, os.W_OK):
        yield "control groups that can be written"
    if user == 0 and not packages:
        if mirror() is None:
            yield "Debian's archive among apt's sources"
        if not succeeds(search_path(environment), "unshare", *ISOLATION, "nft", "list", "ruleset"):
            yield "the right to namespaces and packet rules of its own, which root in a container may lack"


def succeeds(path: str, *command: str) -> bool:
    """Whether *command* ends with status 0."""
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, timeout=PROBE_SECONDS, check=False)
    return done.returncode == 0


def mirror() -> str | None:
    """Return the archive from which apt gets Debian itself; None if there is none, as on another distribution."""
    command = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    return next((one for one in done.stdout.splitlines() if one.rstrip("/").endswith("/debian")), None)


def reason() -> str:
    """Return in one line why this machine cannot be a node; "" if it can."""
    found = list(missing(os.geteuid(), os.environ))
    return f"it needs {', '.join(found)}" if found else ""


def main() -> int:
    """Print the reason if there is one, or the missing packages."""
    if sys.argv[1:] == ["--packages"]:
        print(*sorted({*missing_packages(os.environ), *missing_of(OF_TESTS, search_path(os.environ))}))
        return 0
    found = reason()
    if found:
        print(f"NOT RUN: the tests on a node: {found}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
