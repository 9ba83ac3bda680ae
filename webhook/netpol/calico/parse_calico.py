"""
Parse Calico's NetworkPolicy, GlobalNetworkPolicy, Tier, NetworkSet and GlobalNetworkSet as the API writes them.

| written | means |
|---|---|
| `tier` missing | the tier `default`; a name `default.x` is `x` |
| `order` missing | after all policies with an order |
| `selector` of a policy missing or empty | every pod; of a NetworkPolicy, every pod of its namespace |
| `types` missing | Egress where there are egress rules only, both where there are both, else Ingress |
| `ingress: []` with type Ingress | no rule matches: the tier's default action counts |
| rule without `source` and `destination` | every connection |
| `selector` of a rule in a NetworkPolicy, no `namespaceSelector` | pods and network sets of the policy's namespace |
| `namespaceSelector: all()`, `global()` | whatever is in a namespace; whatever is in none |
| `notSelector` alone | all that does not match, addresses outside among them; in a NetworkPolicy, of its namespace |
| `nets` | addresses, also those of pods |
| `protocol` that is not TCP, UDP or SCTP | nothing that is asked about here |
| action `Log` | decides nothing |
| `serviceAccounts`, `services`, `http`, `icmp`, the client's `ports`, unknown fields | the rule may match or not |
| `doNotTrack`, `preDNAT`, `serviceAccountSelector`, a deletionTimestamp | the policy may have no effect |

Source: Calico documentation, the resources of projectcalico.org/v3; libcalico-go, rules.go of updateprocessors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.netpol.calico.calico_model import (
    DEFAULT_TIER,
    NAMESPACE_LABEL,
    CalicoPolicy,
    CalicoTier,
    NetworkSet,
)
from webhook.netpol.calico.calico_selectors import (
    EVERYTHING,
    Every,
    Expression,
    OneOf,
)
from webhook.netpol.calico.parse_calico_rules import (
    CalicoRules,
    SelectorReader,
    namespace_selector_of,
    nets_of,
    selector_of,
    unknown_fields,
)
from webhook.netpol.cluster_policies import (
    CALICO_GLOBAL_POLICY,
    CALICO_GLOBAL_SET,
    CALICO_POLICY,
    CALICO_SET,
    CALICO_TIER,
    CalicoObject,
)
from webhook.netpol.faults import Fault
from webhook.netpol.model import (
    PolicyType,
)
from webhook.netpol.reading import Faults, boolean, describe, items, mapping, string, strings

_POLICY_FIELDS: Final = frozenset(
    {
        "tier", "order", "selector", "namespaceSelector", "serviceAccountSelector", "types", "ingress", "egress",
        "doNotTrack", "preDNAT", "applyOnForward", "performanceHints",
    }
)  # fmt: skip
_OF_KUBERNETES: Final = ("knp.default.", "kcnp.", "kanp.", "kbanp.")
"""The prefixes of the names under which Calico's API server shows policies of Kubernetes."""


def read_calico(api_object: Mapping[str, Any], kind: str) -> tuple[CalicoObject | None, tuple[Fault, ...]]:
    """
    Return one object of Calico's as far as it can be read, and its faults.

    It is None for the copy of a policy of Kubernetes. What cannot be read may match or not.
    """
    faults = Faults()
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    name = string(metadata.get("name"), "metadata.name", faults)
    spec = mapping(api_object.get("spec"), "spec", faults)
    found: CalicoObject | None
    if kind in {CALICO_POLICY, CALICO_GLOBAL_POLICY}:
        found = None if name.startswith(_OF_KUBERNETES) else _Policy(kind, metadata, spec, faults).read(name)
    elif kind == CALICO_TIER:
        found = _tier(name, spec, faults)
    else:
        found = _network_set(kind, metadata, spec, faults)
    if found is not None:
        version = string(metadata.get("resourceVersion"), "metadata.resourceVersion", faults)
        found = replace(found, resource_version=version, faulty=bool(faults.found))
    return found, tuple(faults.found)


def _tier(name: str, spec: Mapping[str, Any], faults: Faults) -> CalicoTier:
    action = spec.get("defaultAction")
    if action not in {None, "Deny", "Pass"}:
        faults.add("spec.defaultAction", f"must be Deny or Pass, not {describe(action)}", "NotSupported")
    return CalicoTier(
        name=name,
        order=_order(spec.get("order"), "spec.order", faults),
        default_action="Pass" if action == "Pass" else "Deny",
    )


def _network_set(kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any], faults: Faults) -> NetworkSet:
    namespaced = kind == CALICO_SET
    return NetworkSet(
        kind=CALICO_SET if namespaced else CALICO_GLOBAL_SET,
        namespace=_namespace(metadata, faults) if namespaced else "",
        name=string(metadata.get("name"), "metadata.name", Faults()),
        labels=strings(metadata.get("labels"), "metadata.labels", faults),
        nets=nets_of(spec.get("nets"), "spec.nets", faults)[0],
    )


def _namespace(metadata: Mapping[str, Any], faults: Faults) -> str:
    return string(metadata.get("namespace"), "metadata.namespace", faults) or "default"


def _order(value: object, path: str, faults: Faults) -> float:
    if value is None:
        return math.inf
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    faults.mistyped(path, value, "a number")
    return math.inf


@dataclass(frozen=True, slots=True)
class _Policy:
    """The reader of one policy."""

    kind: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    faults: Faults

    def read(self, written: str) -> CalicoPolicy:
        """Return the policy; *written* is its name."""
        spec, faults = self.spec, self.faults
        namespace = _namespace(self.metadata, faults) if self.kind == CALICO_POLICY else ""
        tier = string(spec.get("tier"), "spec.tier", faults) or DEFAULT_TIER
        doubts: list[str] = []
        selector = self._selected(namespace, doubts)
        rules = CalicoRules(namespace=namespace, faults=faults)
        ingress = rules.read(spec.get("ingress"), "spec.ingress", PolicyType.INGRESS)
        egress = rules.read(spec.get("egress"), "spec.egress", PolicyType.EGRESS)
        types = self._types(doubts)
        doubts += unknown_fields(spec, _POLICY_FIELDS, "spec")
        for field in ("doNotTrack", "preDNAT"):
            if boolean(spec.get(field), f"spec.{field}", faults):
                doubts.append(f"a policy with {field} is for host endpoints")
        if spec.get("serviceAccountSelector"):
            doubts.append("service accounts are not read (spec.serviceAccountSelector)")
        if self.metadata.get("deletionTimestamp") is not None:
            doubts.append("it is being deleted")
        return CalicoPolicy(
            kind=self.kind,
            namespace=namespace,
            name=written,
            uid=string(self.metadata.get("uid"), "metadata.uid", faults),
            tier=tier,
            order=_order(spec.get("order"), "spec.order", faults),
            selector=selector,
            policy_types=types,
            ingress=ingress,
            egress=egress,
            why_perhaps=doubts[0] if doubts else "",
        )

    def _selected(self, namespace: str, doubts: list[str]) -> Expression:
        """Return the pods that the policy selects."""
        parts: list[Expression] = []
        if namespace:
            parts.append(OneOf(NAMESPACE_LABEL, frozenset({namespace})))
        elif self.spec.get("namespaceSelector"):
            parts.append(self._or_doubt(namespace_selector_of, "namespaceSelector", doubts))
        if self.spec.get("selector") is not None:
            parts.append(self._or_doubt(selector_of, "selector", doubts))
        return Every(tuple(parts))

    def _or_doubt(self, read: SelectorReader, field: str, doubts: list[str]) -> Expression:
        found: Expression | None = read(self.spec.get(field), f"spec.{field}", self.faults)
        if found is None:
            doubts.append(f"its selector cannot be read (spec.{field})")
            return EVERYTHING
        return found

    def _types(self, doubts: list[str]) -> frozenset[PolicyType]:
        written = items(self.spec.get("types"), "spec.types", self.faults)
        found = set()
        for path, item in written:
            if item in {"Ingress", "Egress"}:
                found.add(PolicyType(item))
            else:
                self.faults.add(path, f"must be Ingress or Egress, not {describe(item)}", "NotSupported")
                doubts.append(f"its direction cannot be read ({path})")
        if len(found) < len({str(item) for _, item in written}):
            return frozenset(PolicyType)
        if found:
            return frozenset(found)
        if not self.spec.get("egress"):
            return frozenset({PolicyType.INGRESS})
        return frozenset(PolicyType) if self.spec.get("ingress") else frozenset({PolicyType.EGRESS})
