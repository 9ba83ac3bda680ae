"""
The policy kinds beside NetworkPolicy that can decide who reaches EEM's pods, and which of them a verdict did not read.

A verdict that does not know them all can be false, so it names those that exist. In a live cluster a kind counts that
the API server serves; in files, an object that can select a pod of EEM. An object of a namespace selects pods of that
namespace only, and its label selector is read where it is one.

Source: the API references of the products; for Istio also "Mesh Config", rootNamespace, whose default counts here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhook.netpol.cluster_policies import CALICO_GROUPS, CALICO_KINDS, CALICO_POLICY
from webhook.netpol.model import Labels
from webhook.netpol.parse_meta import read_selector
from webhook.netpol.reading import Faults, is_object, list_at, object_at, objects_at, text_at, value_at
from webhook.netpol.selectors import LabelSelector, matches

_MESH_NAMESPACE: Final = "istio-system"
_NAMESPACE_KEY: Final = "io.kubernetes.pod.namespace"
_NAMESPACE_LABELS: Final = "io.cilium.k8s.namespace.labels."
_SOURCES_OF_LABELS: Final = ("k8s:", "any:")
_UNKNOWN_LABELS: Final = "io.cilium.k8s.policy."
"""The prefix of what Cilium adds to a pod's labels and no label tells, such as the service account."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class PolicyKind:
    """
    One kind of policy object.

    Args:
        product: what enforces it, for messages.
        selects: whether its objects select pods; others are only named by those that do.
    """

    product: str
    group: str
    kind: str
    plural: str
    namespaced: bool = True
    selects: bool = True

    @property
    def name(self) -> str:
        """Return the kind with its group, since several products have a kind NetworkPolicy."""
        return f"{self.kind}.{self.group}"


def _cluster(product: str, group: str, kind: str, plural: str, *, selects: bool = True) -> PolicyKind:
    return PolicyKind(product=product, group=group, kind=kind, plural=plural, namespaced=False, selects=selects)


def _calico(group: str) -> tuple[PolicyKind, ...]:
    return (
        PolicyKind(product="Calico", group=group, kind="NetworkPolicy", plural="networkpolicies"),
        PolicyKind(product="Calico", group=group, kind="NetworkSet", plural="networksets", selects=False),
        _cluster("Calico", group, "GlobalNetworkPolicy", "globalnetworkpolicies"),
        _cluster("Calico", group, "GlobalNetworkSet", "globalnetworksets", selects=False),
        _cluster("Calico", group, "Tier", "tiers", selects=False),
    )


_KUBERNETES: Final = "policy.networking.k8s.io"
_ISTIO: Final = "security.istio.io"
POLICY_KINDS: Final[tuple[PolicyKind, ...]] = (
    _cluster("cluster-wide", _KUBERNETES, "AdminNetworkPolicy", "adminnetworkpolicies"),
    _cluster("cluster-wide", _KUBERNETES, "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"),
    _cluster("cluster-wide", _KUBERNETES, "ClusterNetworkPolicy", "clusternetworkpolicies"),
    *(known for group in CALICO_GROUPS for known in _calico(group)),
    PolicyKind(product="Cilium", group="cilium.io", kind="CiliumNetworkPolicy", plural="ciliumnetworkpolicies"),
    _cluster("Cilium", "cilium.io", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies"),
    PolicyKind(product="Antrea", group="crd.antrea.io", kind="NetworkPolicy", plural="networkpolicies"),
    _cluster("Antrea", "crd.antrea.io", "ClusterNetworkPolicy", "clusternetworkpolicies"),
    PolicyKind(product="Istio", group=_ISTIO, kind="AuthorizationPolicy", plural="authorizationpolicies"),
    PolicyKind(product="Istio", group=_ISTIO, kind="PeerAuthentication", plural="peerauthentications"),
    PolicyKind(product="OVN-Kubernetes", group="k8s.ovn.org", kind="EgressFirewall", plural="egressfirewalls"),
)
"""Every kind that is recognised, besides networking.k8s.io NetworkPolicy."""

POLICY_KIND_OF: Final[Mapping[str, PolicyKind]] = {known.kind: known for known in POLICY_KINDS[:3]}
"""The kinds of policy.networking.k8s.io, by their name."""

CALICO_KIND_OF: Final[Mapping[str, tuple[PolicyKind, ...]]] = {
    kind: tuple(
        known
        for known in POLICY_KINDS
        if known.group in CALICO_GROUPS and known.kind == ("NetworkPolicy" if kind == CALICO_POLICY else kind)
    )
    for kind in sorted(CALICO_KINDS)
}
"""Calico's kinds, by the name that they have here: in the group that users write, and in the one of the store."""

READ_KIND_OF: Final[Mapping[str, PolicyKind]] = {
    **POLICY_KIND_OF,
    **{kind: known[0] for kind, known in CALICO_KIND_OF.items()},
}
"""Every kind that can be read beside NetworkPolicy, by the name that it has here."""

NAME_OF: Final[Mapping[PolicyKind, str]] = {
    **{known: kind for kind, known in POLICY_KIND_OF.items()},
    **{known: kind for kind, both in CALICO_KIND_OF.items() for known in both},
}
"""The names of these kinds here."""

_BY_NAME: Final[Mapping[tuple[str, str], PolicyKind]] = {(known.group, known.kind): known for known in POLICY_KINDS}
NETWORK_POLICY: Final = "NetworkPolicy.networking.k8s.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyKinds:
    """
    The policy kinds that exist.

    Args:
        read: the names of those on which a verdict rests.
        unread: the others: their objects may override the verdict.
    """

    read: tuple[str, ...] = (NETWORK_POLICY,)
    unread: tuple[PolicyKind, ...] = ()

    @property
    def note(self) -> str:
        """Return the sentence about the kinds that were not read; empty if there are none."""
        products = tuple(dict.fromkeys(known.product for known in self.unread))
        if not products:
            return ""
        *first, last = products
        named = f"{', '.join(first)} and {last}" if first else last
        return f"{named} policies are not read and may override this verdict"


ONLY_NETWORK_POLICIES: Final = PolicyKinds()


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignPolicy:
    """
    An object of a kind that is recognised and not read.

    Args:
        namespace: empty for an object that is not limited to one namespace.
        selectors: each selects pods by their labels; None if they cannot be told from others.
    """

    kind: PolicyKind
    namespace: str
    name: str
    selectors: tuple[LabelSelector, ...] | None = None

    def may_select(self, namespace: str, namespace_labels: Labels, pods: Iterable[Labels]) -> bool:
        """Whether it may select a pod with one of these sets of labels in a namespace."""
        if self.namespace not in {"", namespace}:
            return False
        if self.selectors is None:
            return True
        around = {_NAMESPACE_KEY: namespace} | {
            f"{_NAMESPACE_LABELS}{key}": value for key, value in namespace_labels.items()
        }
        return any(matches(selector, {**around, **labels}) for labels in pods for selector in self.selectors)


Surroundings = tuple[str, Labels, Sequence[Labels]]
"""A namespace, its labels, and the labels of the pods in it that matter."""


def policy_kinds(
    read: Sequence[PolicyKind],
    installed: Iterable[PolicyKind],
    foreign: Iterable[ForeignPolicy],
    where: Sequence[Surroundings],
) -> PolicyKinds:
    """
    Return the policy kinds that exist.

    Args:
        read: the kinds that are read beside NetworkPolicy.
        installed: the kinds that the API server serves and that are not read.
        foreign: the objects of such kinds, where they are known.
        where: an object counts if it may select one of these pods.
    """
    unread = set(installed)
    for policy in foreign:
        if policy.kind not in unread and any(policy.may_select(*place) for place in where):
            unread.add(policy.kind)
    if not read and not unread:
        return ONLY_NETWORK_POLICIES
    return PolicyKinds(
        read=(NETWORK_POLICY, *(known.name for known in without_copies(read))), unread=without_copies(unread)
    )


def without_copies(kinds: Iterable[PolicyKind]) -> tuple[PolicyKind, ...]:
    """Return *kinds* in order, each of Calico's once: its API server stores the objects of one group in another."""
    found = sorted(kinds, key=POLICY_KINDS.index)
    named = {known.kind for known in found if known.group == CALICO_GROUPS[0]}
    return tuple(known for known in found if known.group != CALICO_GROUPS[1] or known.kind not in named)


def kind_named(kind: str, api_version: str) -> PolicyKind | None:
    """Return the recognised kind of an object, in whatever version; None for any other object."""
    return _BY_NAME.get((api_version.rpartition("/")[0], kind))


def read_foreign(api_object: Mapping[str, Any]) -> ForeignPolicy | None:
    """Return an object of a recognised kind; None for any other object, and for one that selects no pods."""
    known = kind_named(text_at(api_object, "kind"), text_at(api_object, "apiVersion"))
    if known is None or not known.selects:
        return None
    namespace = text_at(api_object, "metadata", "namespace") or "default"
    is_everywhere = not known.namespaced or (known.group == _ISTIO and namespace == _MESH_NAMESPACE)
    return ForeignPolicy(
        kind=known,
        namespace="" if is_everywhere else namespace,
        name=text_at(api_object, "metadata", "name"),
        selectors=_selectors(known, api_object),
    )


def _selectors(known: PolicyKind, api_object: Mapping[str, Any]) -> tuple[LabelSelector, ...] | None:
    """Return what selects pods by their labels alone; None for what is not known to do so."""
    if known.group == _ISTIO:
        spec = object_at(api_object, "spec")
        if "targetRef" in spec or "targetRefs" in spec:
            return None
        return _readable([object_at(spec, "selector")])
    if known.product == "Cilium":
        specs = [value_at(api_object, "spec"), *list_at(api_object, "specs")]
        # A spec with a nodeSelector selects nodes.
        return _readable([spec["endpointSelector"] for spec in specs if is_object(spec) and "endpointSelector" in spec])
    return None


def _readable(written: Iterable[object]) -> tuple[LabelSelector, ...] | None:
    faults = Faults()
    found = tuple(read_selector(_with_plain_keys(selector), "", faults) for selector in written)
    keys = (requirement.key for selector in found for requirement in selector.requirements)
    return None if faults.found or any(key.startswith(_UNKNOWN_LABELS) for key in keys) else found


def _with_plain_keys(selector: object) -> object:
    """Return a selector without the prefixes by which Cilium names the source of a label."""
    if not is_object(selector):
        return selector
    labels = {_plain(key): value for key, value in object_at(selector, "matchLabels").items()}
    expressions = [
        {**item, "key": _plain(text_at(item, "key"))} for _, item in objects_at(selector, "matchExpressions")
    ]
    return {"matchLabels": labels, "matchExpressions": expressions}


def _plain(key: str) -> str:
    return next((key.removeprefix(prefix) for prefix in _SOURCES_OF_LABELS if key.startswith(prefix)), key)
