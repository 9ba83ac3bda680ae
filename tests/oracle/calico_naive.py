"""
Calico's policies, on plain API dictionaries, one connection at a time: it shares no code with the guard.

What is not known (whether a policy applies, whether a rule matches, which policy of one order is asked first, a pod's
address) is a choice that the caller makes; each combination of choices has one plain answer.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

BUILT_IN = {"kube-admin": 1_000.0, "default": 1_000_000.0, "kube-baseline": 10_000_000.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """One end: a pod with its namespace, or, without a namespace, an address outside."""

    namespace: str = ""
    namespace_labels: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""

    @property
    def known(self) -> dict[str, str]:
        """Return its labels as Calico names them."""
        if not self.namespace:
            return {}
        inherited = {f"pcns.{key}": value for key, value in self.namespace_labels}
        names = {"projectcalico.org/namespace": self.namespace, "projectcalico.org/orchestrator": "k8s"}
        return {**dict(self.labels), **inherited, "pcns.projectcalico.org/name": self.namespace, **names}


def selects(text: str, labels: Mapping[str, str]) -> bool:
    """Whether a selector matches labels: it is translated into an expression of Python, piece by piece."""
    pieces: list[str] = []
    pattern = (
        r"\s*(?:(?P<has>has\(([^)]*)\))|(?P<all>all\(\))|(?P<global>global\(\))|(?P<op>&&|\|\||!(?!=)|[()])"
        r"|(?P<key>[\w./-]+)\s*(?P<cmp>==|!=|not\s+in|in|contains|starts\s+with|ends\s+with)\s*"
        r"(?P<value>\{[^}]*\}|'[^']*'|\"[^\"]*\"))"
    )
    position = 0
    while position < len(text.rstrip()):
        match = re.compile(pattern).match(text, position)
        assert match is not None, text
        pieces.append(_piece(match, labels))
        position = match.end()
    return bool(eval(" ".join(pieces) or "True"))  # noqa: S307  made of True, False, and, or, not and parentheses


def _piece(match: re.Match[str], labels: Mapping[str, str]) -> str:
    if match["op"]:
        return {"&&": "and", "||": "or", "!": "not"}.get(match["op"], match["op"])
    if not match["key"]:
        name = match[2].strip() if match["has"] else ""
        return str(name in labels if name else bool(match["all"]) or "projectcalico.org/namespace" not in labels)
    value, how = labels.get(match["key"]), " ".join(match["cmp"].split())
    texts = re.findall(r"'([^']*)'|\"([^\"]*)\"", match["value"])
    listed = [one or other for one, other in texts]
    if how in {"!=", "not in"}:
        return str(value not in listed)
    if value is None:
        return "False"
    tests: dict[str, Callable[[], bool]] = {
        "==": lambda: value in listed,
        "in": lambda: value in listed,
        "contains": lambda: listed[0] in value,
        "starts with": lambda: value.startswith(listed[0]),
        "ends with": lambda: value.endswith(listed[0]),
    }
    return str(tests[how]())


def in_namespaces(text: str, labels: Mapping[str, str]) -> bool:
    """Whether a namespace selector matches an end by the labels that it has of its namespace."""
    own = {key.removeprefix("pcns."): value for key, value in labels.items() if key.startswith("pcns.")}
    if "projectcalico.org/namespace" in labels:
        own["projectcalico.org/namespace"] = labels["projectcalico.org/namespace"]
    return selects(text.replace("all()", "has(projectcalico.org/namespace)"), own)


def inside(address: str, nets: Sequence[str]) -> bool:
    """Whether an address is in one of some networks."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(net, strict=False) for net in nets)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """
    Everything that decides.

    Args:
        objects: policies, tiers and network sets.
        admits: whether NetworkPolicies admit the source; None where none isolates the pod.
        namespaces: the labels of each namespace.
        chosen: says of each thing that is not known whether it is so.
    """

    objects: Sequence[Object]
    admits: Callable[[Party], bool] | None
    namespaces: Mapping[str, Mapping[str, str]]
    chosen: Callable[[str], bool] = lambda _: True

    def allows(self, source: Party, destination: Party, protocol: str, port: int) -> bool:
        """Whether ingress of the destination lets a connection in."""
        tiers = {name: (order, "Deny" if name == "default" else "Pass") for name, order in BUILT_IN.items()}
        for one in self.objects:
            if one["kind"] == "Tier" and one["metadata"]["name"] not in BUILT_IN:
                spec = one["spec"]
                tiers[one["metadata"]["name"]] = spec.get("order", float("inf")), spec.get("defaultAction", "Deny")
        for name, (_, default) in sorted(tiers.items(), key=lambda item: (item[1][0], item[0])):
            answer = self._tier(name, default, source, destination, protocol, port)
            if answer is not None:
                return answer
        return True

    def _tier(  # noqa: PLR0913, PLR0917  a connection at a tier
        self, name: str, default: str, source: Party, destination: Party, protocol: str, port: int
    ) -> bool | None:
        asked = [one for one in self._policies(name) if self._selects(one, destination)]
        early = [one for one in asked if one["spec"].get("order", float("inf")) < 1000]
        late = asked[len(early) :]
        for policy in early:
            found = self._policy(policy, source, destination, protocol, port)
            if found is not None:
                return {"Allow": True, "Deny": False}.get(found)
        isolated = name == "default" and self.admits is not None
        if isolated and self.admits is not None and self.admits(source):
            return True
        for policy in late:
            found = self._policy(policy, source, destination, protocol, port)
            if found is not None:
                return {"Allow": True, "Deny": False}.get(found)
        return False if (asked or isolated) and default == "Deny" else None

    def _policies(self, tier: str) -> list[Object]:
        def place(one: Object) -> tuple[float, str]:
            namespace, name = one["metadata"].get("namespace", ""), one["metadata"]["name"]
            if self.chosen("names"):
                return one["spec"].get(
                    "order", float("inf")
                ), f"{namespace}/{tier}.{name}" if namespace else f"{tier}.{name}"
            return one["spec"].get("order", float("inf")), f"{name}/{namespace}/{one['kind']}"

        kinds = {"NetworkPolicy", "GlobalNetworkPolicy"}
        known = [one for one in self.objects if one["kind"] in kinds and one["spec"].get("tier", "default") == tier]
        return sorted(known, key=place)

    def _selects(self, policy: Object, pod: Party) -> bool:
        spec, namespace = policy["spec"], policy["metadata"].get("namespace")
        if namespace is not None and namespace != pod.namespace:
            return False
        if "Ingress" not in spec.get(
            "types", ["Ingress"] if spec.get("ingress") or not spec.get("egress") else ["Egress"]
        ):
            return False
        if spec.get("namespaceSelector") and not in_namespaces(spec["namespaceSelector"], pod.known):
            return False
        if spec.get("serviceAccountSelector") and not self.chosen(f"account {policy['metadata']['name']}"):
            return False
        return selects(spec.get("selector", ""), pod.known)

    def _policy(self, policy: Object, source: Party, destination: Party, protocol: str, port: int) -> str | None:
        for index, rule in enumerate(policy["spec"].get("ingress", [])):
            if rule["action"] == "Log" or not self._covers(rule, protocol, port):
                continue
            if rule.get("http") and not self.chosen(f"http {policy['metadata']['name']} {index}"):
                continue
            namespace = policy["metadata"].get("namespace")
            if self._is(rule.get("source", {}), source, namespace) and self._is(
                rule.get("destination", {}), destination, namespace
            ):
                return str(rule["action"])
        return None

    def _covers(self, rule: Object, protocol: str, port: int) -> bool:
        if str(rule.get("protocol", protocol)).upper() != protocol or rule.get("notProtocol") == protocol:
            return False
        ports = rule.get("destination", {})
        if ports.get("ports") and not any(_holds(one, port) for one in ports["ports"]):
            return False
        return not any(_holds(one, port) for one in ports.get("notPorts", []))

    def _is(self, entity: Object, end: Party, namespace: str | None) -> bool:
        known = [*self._endpoints(end)]
        if entity.get("nets") and not inside(end.address, entity["nets"]):
            return False
        if entity.get("notNets") and inside(end.address, entity["notNets"]):
            return False
        own = entity.get("selector"), entity.get("namespaceSelector"), entity.get("notSelector")
        if any(own) and (own[1] or namespace):
            known = [
                labels
                for labels in known
                if (in_namespaces(own[1], labels) if own[1] else labels.get("projectcalico.org/namespace") == namespace)
            ]
            if not known:
                return False
        if own[0] and not any(selects(own[0], labels) for labels in known):
            return False
        return not (own[2] and any(selects(own[2], labels) for labels in self._endpoints(end)))

    def _endpoints(self, end: Party) -> Iterator[dict[str, str]]:
        """Yield the labels of an end: its own, and those of the network sets that hold its address."""
        if end.namespace:
            yield end.known
        for one in self.objects:
            if one["kind"] in {"NetworkSet", "GlobalNetworkSet"} and inside(end.address, one["spec"]["nets"]):
                labels = dict(one["metadata"].get("labels", {}))
                if one["kind"] == "NetworkSet":
                    name = one["metadata"]["namespace"]
                    labels |= {f"pcns.{key}": value for key, value in self.namespaces[name].items()}
                    labels |= {"projectcalico.org/namespace": name, "pcns.projectcalico.org/name": name}
                yield labels


def _holds(entry: object, port: int) -> bool:
    first, _, last = str(entry).partition(":")
    return int(first) <= port <= int(last or first)
