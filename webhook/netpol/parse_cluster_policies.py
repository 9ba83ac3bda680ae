"""
Parse an AdminNetworkPolicy, a BaselineAdminNetworkPolicy or a ClusterNetworkPolicy as the API writes it.

| written | means |
|---|---|
| `ingress`, `egress` missing, null or empty | the policy has no effect in that direction |
| subject with two fields or none | a fault; the policy may speak of every pod, and may do anything |
| `from`, `to` missing or empty | a fault; the rule matches nothing |
| an action or a field of a rule that is not known | a fault; the rule may accept, deny or pass |
| AdminNetworkPolicy with a priority above 99 | OVN-Kubernetes does not apply it, so it may have no effect |

The peers and ports of a rule are read in parse_cluster_peers.py.

A peer without a known field is one of a newer schema. The API asks a reader to fail closed: an Accept matches nothing,
a Deny or Pass denies everything. That is what is surely so; what the field may mean is possibly so.

Source: the schemas of network-policy-api v0.1.7 (v1alpha1) and v0.3.0 (v1alpha2, v1beta1).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.netpol.cluster_policies import (
    ADMIN_KIND,
    BASELINE_KIND,
    CLUSTER_KIND,
    LAST_APPLIED_PRIORITY,
    LAST_PRIORITY,
    ClusterPeer,
    ClusterPolicy,
    ClusterRule,
    RuleAction,
    Tier,
)
from webhook.netpol.faults import Fault
from webhook.netpol.model import PodPeer, Unreadable
from webhook.netpol.parse_cluster_peers import (
    Schema,
    alternatives,
    list_of,
    number_between,
    only_field,
    peer_of,
    pods_of,
    ports_of,
)
from webhook.netpol.reading import Faults, describe, is_object, items, mapping, shorten, string

LONGEST_NAME: Final = 100
PRIORITY_CLAUSE: Final = (
    f"OVN-Kubernetes does not apply an AdminNetworkPolicy with a priority above {LAST_APPLIED_PRIORITY}"
)
UNREADABLE_POLICY_CLAUSE: Final = "it has parts that cannot be read"
TERMINATING_CLAUSE: Final = "it is being deleted"

_ALLOW_DENY: Final[Mapping[object, RuleAction]] = {"Allow": RuleAction.ACCEPT, "Deny": RuleAction.DENY}
_SCHEMAS: Final[Mapping[str, Schema]] = {
    ADMIN_KIND: Schema(
        tier=Tier.ADMIN, actions={**_ALLOW_DENY, "Pass": RuleAction.PASS}, ports_field="ports", most=100
    ),
    BASELINE_KIND: Schema(
        tier=Tier.BASELINE,
        has_priority=False,
        actions=_ALLOW_DENY,
        ports_field="ports",
        most=100,
        destinations=("networks", "nodes"),
    ),
    CLUSTER_KIND: Schema(
        tier=None, actions={action.value: action for action in RuleAction}, ports_field="protocols", most=25
    ),
}
_TIERS: Final[Mapping[object, Tier]] = {tier.value: tier for tier in Tier}


def read_cluster_policy(api_object: Mapping[str, Any]) -> tuple[ClusterPolicy, tuple[Fault, ...]]:
    """
    Return one policy as far as it can be read, and its faults; its `kind` is one of CLUSTER_POLICY_KINDS.

    What cannot be read is `Unreadable` in the model: a schema may be newer than this reader.
    """
    faults = Faults()
    kind: str = api_object["kind"]
    schema = _SCHEMAS[kind]
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    name = string(metadata.get("name"), "metadata.name", faults)
    if kind == BASELINE_KIND and name not in {"", "default"}:
        faults.add("metadata.name", f"must be default, not {describe(name)}")
    spec = mapping(api_object.get("spec"), "spec", faults)
    tier, priority, subject = _place(spec, schema, faults)
    rules = _Rules(schema=schema, faults=faults)
    ingress = tuple(rules.read(spec.get("ingress"), "spec.ingress", "from"))
    egress = tuple(rules.read(spec.get("egress"), "spec.egress", "to"))
    why_perhaps = ""
    if tier is None or priority is None or subject is None:  # it may stand anywhere, speak of any pod, and do anything
        tier, priority, subject, why_perhaps = Tier.ADMIN, 0, PodPeer(), UNREADABLE_POLICY_CLAUSE
        ingress = egress = tuple(_unreadable_rules(0, "", "spec"))
    elif _unknown_fields(spec, {"tier", "priority", "subject", "ingress", "egress"}, "spec", faults):
        why_perhaps = UNREADABLE_POLICY_CLAUSE
    elif metadata.get("deletionTimestamp") is not None:
        why_perhaps = TERMINATING_CLAUSE
    elif kind == ADMIN_KIND and priority > LAST_APPLIED_PRIORITY:
        why_perhaps = PRIORITY_CLAUSE
    policy = ClusterPolicy(
        kind=kind,
        name=name,
        uid=string(metadata.get("uid"), "metadata.uid", faults),
        resource_version=string(metadata.get("resourceVersion"), "metadata.resourceVersion", faults),
        tier=tier,
        priority=priority,
        subject=subject,
        ingress=ingress,
        egress=egress,
        faulty=bool(faults.found),
        why_perhaps=why_perhaps,
    )
    return policy, tuple(faults.found)


def _place(spec: Mapping[str, Any], schema: Schema, faults: Faults) -> tuple[Tier | None, int | None, PodPeer | None]:
    """Return the tier, the priority and the subject of a policy, each None where it cannot be read."""
    tier = schema.tier or _word(spec.get("tier"), "spec.tier", _TIERS, faults)
    priority = (
        number_between(spec.get("priority"), "spec.priority", 0, LAST_PRIORITY, faults) if schema.has_priority else 0
    )
    before = len(faults.found)
    subject = mapping(spec.get("subject"), "spec.subject", faults)
    if len(faults.found) > before:
        return tier, priority, None
    name = only_field(subject, "spec.subject", ("namespaces", "pods"), faults)
    pods = None if name is None else pods_of(name, subject[name], f"spec.subject.{name}", schema, faults)
    return tier, priority, pods


def _word(value: object, path: str, known: Mapping[object, Any], faults: Faults) -> Any:
    """Return what a word of the API stands for; None where it is none of the words."""
    if isinstance(value, str) and value in known:
        return known[value]
    if value is None:
        faults.add(path, f"must be {alternatives(known)}", "Required")
    else:
        faults.add(path, f"must be {alternatives(known)}, not {describe(value)}", "NotSupported")
    return None


def _unknown_fields(value: Mapping[str, Any], known: set[str], path: str, faults: Faults) -> bool:
    """Whether an object has fields that are not known; each is a fault."""
    unknown = sorted(str(name) for name in value.keys() - known)
    for name in unknown:
        faults.add(f"{path}.{shorten(name)}", "is not a known field", "NotSupported")
    return bool(unknown)


def _unreadable_rules(index: int, name: str, path: str) -> Iterator[ClusterRule]:
    """Yield a rule that may do anything: one that may accept, one that may deny, and one that may pass."""
    for action in RuleAction:
        yield ClusterRule(index=index, name=name, action=action, peers=(Unreadable(field=path),))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rules:
    """The reader of the rules of one policy."""

    schema: Schema
    faults: Faults

    def read(self, value: object, path: str, peers_field: str) -> Iterator[ClusterRule]:
        """Yield the rules of one direction."""
        if value is not None and not isinstance(value, (list, tuple)):
            self.faults.mistyped(path, value, "a list")
            yield from _unreadable_rules(0, "", path)
        elif value:
            for index, (rule_path, item) in enumerate(list_of(value, path, self.schema.most, self.faults)):
                yield from self._rule(item, index, rule_path, peers_field)

    def _rule(self, value: object, index: int, path: str, peers_field: str) -> Iterator[ClusterRule]:
        if not is_object(value):
            self.faults.mistyped(path, value, "an object")
            yield from _unreadable_rules(index, "", path)
            return
        name = string(value.get("name"), f"{path}.name", self.faults)
        if len(name) > LONGEST_NAME:
            self.faults.add(f"{path}.name", f"must have at most {LONGEST_NAME} characters, not {len(name)}", "TooLong")
        action = _word(value.get("action"), f"{path}.action", self.schema.actions, self.faults)
        ports_field = self.schema.ports_field
        peers = self._peers(value.get(peers_field), f"{path}.{peers_field}", action)
        ports = ports_of(value.get(ports_field), f"{path}.{ports_field}", self.schema, self.faults)
        self._check_port_names(value, path, peers_field)
        unknown = _unknown_fields(value, {"name", "action", peers_field, ports_field}, path, self.faults)
        if action is None or unknown:
            yield from _unreadable_rules(index, name, path)
        else:
            yield ClusterRule(index=index, name=name, action=action, peers=peers, ports=ports)

    def _peers(self, value: object, path: str, action: RuleAction | None) -> tuple[ClusterPeer, ...]:
        if value is not None and not isinstance(value, (list, tuple)):
            self.faults.mistyped(path, value, "a list")
            return (Unreadable(field=path),)
        known = ("namespaces", "pods", *(self.schema.destinations if path.endswith(".to") else ()))
        found: list[ClusterPeer] = []
        for item_path, item in list_of(value, path, self.schema.most, self.faults):
            found += peer_of(item, item_path, known, self.schema, self.faults)
            if action not in {None, RuleAction.ACCEPT} and is_object(item) and item.get("domainNames") is not None:
                self.faults.add(
                    f"{item_path}.domainNames", "may be used in rules that accept, not in others", "Forbidden"
                )
        return tuple(found)

    def _check_port_names(self, rule: Mapping[str, Any], path: str, peers_field: str) -> None:
        """Note a port name beside destinations that have no named ports. Source: a rule of the schema, in CEL."""
        field = "destinationNamedPort" if self.schema.tier is None else "namedPort"
        if _has_any(rule.get(self.schema.ports_field), (field,)) and _has_any(
            rule.get(peers_field), self.schema.destinations
        ):
            problem = f"may not have a {field} beside {alternatives(self.schema.destinations)}"
            self.faults.add(f"{path}.{self.schema.ports_field}", problem, "Forbidden")


def _has_any(value: object, fields: tuple[str, ...]) -> bool:
    """Whether some object of a list has one of these fields."""
    found = [item for _, item in items(value, "", Faults()) if is_object(item)]
    return any(item.get(field) is not None for item in found for field in fields)
