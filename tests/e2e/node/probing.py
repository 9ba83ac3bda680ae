"""
Try connections from inside the network namespaces of pods, and from outside the cluster.

Runs in all namespaces of the node. Standard input is a JSON object: `clients` (addresses), `targets` (pairs of address
and port). Standard output is a list for each client, with the result for each target: "open", "closed" (rejected, as
the enforcer does) or "silent".
"""

import ctypes
import errno
import fcntl
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from node.surroundings import OUTSIDE, OUTSIDE_ADDRESSES

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
SIOCGIFADDR = 0x8915  # <linux/sockios.h>
ADDRESS_AT = slice(20, 24)  # the IPv4 address in struct ifreq
PATIENCE_SECONDS = 10  # an answer takes microseconds; after this time the result is "silent"

libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Switch to a network namespace: every socket from now on is in it."""
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def own_address() -> str:
    """Return the address of the pod's device in the current network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("256s", b"eth0")
        return socket.inet_ntoa(fcntl.ioctl(any_socket.fileno(), SIOCGIFADDR, request)[ADDRESS_AT])


def namespaces() -> Iterator[tuple[str, int]]:
    """Yield each address with its open network namespace. A pod that starts or stops now has none."""
    for path in sorted(NAMESPACES.iterdir()):
        try:
            namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            enter(namespace)
            addresses = OUTSIDE_ADDRESSES if path.name == OUTSIDE else (own_address(),)
        except OSError:  # the file exists before and after the namespace, and the namespace before its device
            continue
        yield from ((address, namespace) for address in addresses)


def try_all(client: str, targets: Sequence[tuple[str, int]]) -> list[str]:
    """Connect from one address in the current network namespace to all targets at the same time."""
    outcomes = ["silent"] * len(targets)
    waiting = selectors.DefaultSelector()
    for at, target in enumerate(targets):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.bind((client, 0))
        made.connect_ex(target)
        waiting.register(made, selectors.EVENT_WRITE, at)
    end = time.monotonic() + PATIENCE_SECONDS
    while waiting.get_map() and time.monotonic() < end:
        for key, _ in waiting.select(timeout=end - time.monotonic()):
            made, at = key.fileobj, key.data
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            outcomes[at] = {0: "open", errno.ECONNREFUSED: "closed"}.get(code, os.strerror(code))
            waiting.unregister(made)
            made.close()
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
    return outcomes


def main() -> None:
    """Try the connections of one request."""
    asked = json.load(sys.stdin)
    found = dict(namespaces())
    targets = [(address, port) for address, port in asked["targets"]]
    answers = []
    for client in asked["clients"]:
        enter(found[client])
        answers.append(try_all(client, targets))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
