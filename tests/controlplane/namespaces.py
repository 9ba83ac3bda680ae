"""Whether this machine can run a control plane in network namespaces of its own, and how."""

import functools
import shutil
import subprocess
from dataclasses import dataclass

PROBE_SECONDS = 60
# Each command and the Debian package that has it.
NEEDED = {"ip": "iproute2", "nsenter": "util-linux", "prlimit": "util-linux", "unshare": "util-linux"}
NAMESPACES = ("--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
AS_USER = ("--user", "--map-root-user")
REMEDY = (
    "run as root (a container needs --privileged), or allow user namespaces: "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, kernel.unprivileged_userns_clone=1 on Debian"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """
    How a process gets namespaces of its own here.

    Args:
        flags: for unshare(1); empty if it cannot be done.
        problem: why it cannot be done, and what helps; empty if it can.
    """

    flags: tuple[str, ...] = ()
    problem: str = ""


@functools.cache
def isolation() -> Isolation:
    """Find out how this user can make namespaces: as root, or in a user namespace."""
    packages = sorted({package for command, package in NEEDED.items() if shutil.which(command) is None})
    if packages:
        missing = ", ".join(command for command in NEEDED if shutil.which(command) is None)
        return Isolation(problem=f"{missing} not found on PATH; install {' and '.join(packages)}")
    said = ""
    for user in ((), AS_USER):
        command = ["unshare", *user, *NAMESPACES, "ip", "link", "set", "lo", "up"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
        if done.returncode == 0:
            return Isolation(flags=(*user, *NAMESPACES))
        said = " ".join(done.stderr.split())
    return Isolation(problem=f"this user may not make network namespaces ({said}); {REMEDY}")
