"""
What the drawing of one namespace needs of its report: sources, policies and pods, and the lines between them.

The page gets numbers instead of names, since a namespace may have thousands of policies. The layout is the page's.
"""

from collections.abc import Mapping
from typing import Any, Final

MOST_LABELS: Final = 3
OWN: Final = "NetworkPolicy"
"""The kind whose policies are named without it."""

Entry = Mapping[str, Any]


def drawing_of(namespace: Entry) -> dict[str, Any]:
    """
    Return the drawing of a namespace.

    Each line is [source, policy, instance, port, rules]: numbers in the lists of sources and policies, of instances and
    of the ports of the instance. The policy is -1 where no policy isolates the pods. `cut` has a line for each client
    that is cut off, with the policies that isolate the pods; `isolates` the instances that each policy restricts.
    """
    drawn = _Drawing(namespace)
    for number, instance in enumerate(namespace["instances"]):
        for port, one in enumerate(instance["requirements"]):
            for reach in one["reach"]:
                drawn.add_reach(reach, number, port)
            if one["state"] == "broken":
                drawn.add_cut(one, number, port)
    ports, prefix = _ports(namespace), f"{namespace['namespace']}/"
    return {
        "sources": list(drawn.sources),
        "policies": [_policy(one, ports, prefix) for one in namespace["policies"]],
        "instances": [_instance(one) for one in namespace["instances"]],
        "lines": sorted(drawn.lines),
        "cut": drawn.cut,
        "isolates": sorted(drawn.isolates),
    }


class _Drawing:
    """The lines of a drawing, while they are collected."""

    def __init__(self, namespace: Entry) -> None:
        self.sources: dict[str, int] = {}
        self.lines: set[tuple[int, int, int, int, str]] = set()
        self.cut: list[tuple[int, list[int], int, int]] = []
        self.isolates: set[tuple[int, int]] = set()
        self._policies = {(one["kind"], one["name"]): number for number, one in enumerate(namespace["policies"])}

    def add_reach(self, reach: Entry, instance: int, port: int) -> None:
        """Add the sources of each rule that opens a port of a set of pods."""
        for name in reach["isolatedBy"]:
            self.isolates.add((self._policies[OWN, name], instance))
        if not reach["isolated"]:
            self._add(reach["sources"], -1, instance, port, "")
        for way in reach["ways"]:
            for rule in way["rules"]:
                action = rule.get("action", "")
                words = f"{action} " if action not in {"", "Accept"} else ""
                sources = [f"{words}{text}" for text in rule["sources"]]
                self._add(sources, self._policies[way["kind"], way["name"]], instance, port, str(rule["rule"]))

    def add_cut(self, requirement: Entry, instance: int, port: int) -> None:
        """Add a client that is cut off, and what isolates the pods from it."""
        source = self._number(f"✕ {client(requirement['counterexample'])}")
        policies = [self._policies[OWN, name] for name in requirement["policies"] if (OWN, name) in self._policies]
        self.cut.append((source, policies, instance, port))

    def _add(self, sources: list[str], policy: int, instance: int, port: int, rule: str) -> None:
        self.lines.update((self._number(text), policy, instance, port, rule) for text in sources)

    def _number(self, text: str) -> int:
        return self.sources.setdefault(text, len(self.sources))


def _instance(instance: Entry) -> dict[str, Any]:
    pods = instance["pods"]
    count = len(pods["names"])
    return {
        "name": instance["name"],
        "kind": instance["kind"],
        "component": instance["component"],
        "pods": "no pod seen" if not count else f"{count} pod{'' if count == 1 else 's'}",
        "exempt": bool(instance["exempt"]),
        "ports": [[f"{one['protocol']}/{one['port']}", one["state"]] for one in instance["requirements"]],
    }


def _ports(namespace: Entry) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Return the numbers of the instance and the port of each requirement."""
    return {
        (instance["kind"], instance["name"], one["protocol"], one["port"]): (number, port)
        for number, instance in enumerate(namespace["instances"])
        for port, one in enumerate(instance["requirements"])
    }


def _policy(policy: Entry, ports: Mapping[tuple[Any, ...], tuple[int, int]], prefix: str) -> dict[str, Any]:
    """Return a policy with what is lost without it: instance, port (-1 for egress), message, whether it is decided."""
    without = []
    for one in policy["without"]:
        key = (one["instance"]["kind"], one["instance"]["name"], one["protocol"], one["port"])
        place = ports.get(key, (-1, -1)) if one["direction"] == "ingress" else (-1, -1)
        without.append([*place, one["message"], one["decided"]])
    return {"name": policy["name"].removeprefix(prefix), "kind": policy["kind"], "without": without}


def client(example: Entry | None) -> str:
    """Return a client that is cut off, in a few words."""
    if example is None:
        return "any client"
    if "cidr" in example:
        return f"addresses such as {example['cidr']}"
    if "pod" in example:
        return f"pod {example['namespace']}/{example['pod']}"
    labels = [f"{key}={value}" for key, value in sorted(example["labels"].items())[:MOST_LABELS]]
    return f"a pod {'with ' + ', '.join(labels) if labels else 'without labels'} in {example['namespace']}"
