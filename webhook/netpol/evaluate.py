"""
Decide one concrete connection, with the evidence.

Both ends must allow it: the source's egress and the destination's ingress.

For each end:
1. A pod may always reach itself, and the node that it runs on (and that node the pod).
2. A rule of a cluster-wide policy of tier Admin accepts or denies it: that is final.
3. A NetworkPolicy of that direction selects the pod: any rule of any such policy that matches the other end and covers
   the port allows it, and otherwise it is not allowed. No single policy blocks; all policies that select the pod
   isolate it together.
4. A rule of a cluster-wide policy of tier Baseline accepts or denies it: that is final.
5. Otherwise it is allowed.

Source: NetworkPolicySpec.ingress and .egress (networking.k8s.io/v1); ClusterNetworkPolicySpec.tier
(policy.networking.k8s.io).
"""

from dataclasses import dataclass, replace

from webhook.netpol.cluster_policies import RuleAction, Tier, by_tier
from webhook.netpol.controller_labels import pods_of
from webhook.netpol.evidence import DirectionVerdict, Question, Reason, by_rules
from webhook.netpol.faults import SpecError
from webhook.netpol.intervals import IPAddress, address_of
from webhook.netpol.matching import Address, Endpoint, PodEndpoint, selecting
from webhook.netpol.model import FIRST_PORT, LAST_PORT, PROTOCOLS, Pod, PolicyType, Protocol
from webhook.netpol.reading import Faults, describe, shorten
from webhook.netpol.selectors import readings
from webhook.netpol.snapshot import ClusterSnapshot, Plugin, enforces_calico
from webhook.netpol.sources.universe import Enforced, IPBlockMatchesPods
from webhook.netpol.tiers import TierVerdict, ask_tier


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """
    The connection that is asked about.

    Args:
        source: `namespace/pod`, or an IP address.
        destination: the same.
        protocol: TCP, UDP or SCTP.
        port: number of the port at the destination pod.
    """

    source: str
    destination: str
    protocol: str = "TCP"
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionVerdict:
    """Whether a connection is allowed, with the answer of each end; `allowed` is False where it is not decided."""

    connection: Connection
    ingress: DirectionVerdict
    egress: DirectionVerdict

    @property
    def allowed(self) -> bool:
        """Whether both ends surely allow it."""
        return self.ingress.allowed and self.egress.allowed

    @property
    def possibly_allowed(self) -> bool:
        """Whether both ends may allow it: no end surely refuses."""
        return all(end.allowed or not end.decided for end in (self.ingress, self.egress))

    @property
    def decided(self) -> bool:
        """Whether the answer is certain: both ends are decided, or one surely refuses."""
        ends = (self.ingress, self.egress)
        return all(end.decided for end in ends) or any(end.decided and not end.allowed for end in ends)


def evaluate(
    connection: Connection,
    snapshot: ClusterSnapshot,
    *,
    ipblock_matches_pods: IPBlockMatchesPods = "unknown",
    plugin: Plugin = "auto",
) -> ConnectionVerdict:
    """
    Decide *connection* in *snapshot*.

    Raises:
        SpecError: an end is neither a pod or workload of the snapshot nor an IP address, or the port or protocol is
            none; `field` is `source`, `destination`, `protocol` or `port`.
    """
    faults = Faults()
    source = _endpoint(connection.source, "source", snapshot, faults)
    destination = _endpoint(connection.destination, "destination", snapshot, faults)
    protocol = read_port(connection.protocol, connection.port, faults)
    if source is None or destination is None or protocol is None:
        raise SpecError(faults.found)
    calico = enforces_calico(snapshot, plugin)
    asked = Question(
        protocol=protocol,
        port=connection.port,
        named_ports=destination.pod.ports if isinstance(destination, PodEndpoint) else (),
        ipblock_matches_pods="yes" if calico == "yes" and ipblock_matches_pods == "unknown" else ipblock_matches_pods,
        calico=calico,
    )
    return ConnectionVerdict(
        connection=connection,
        ingress=_direction(snapshot, asked, destination, source, PolicyType.INGRESS),
        egress=_direction(snapshot, asked, source, destination, PolicyType.EGRESS),
    )


def evaluate_egress(  # noqa: PLR0913  the parts of one question
    source: PodEndpoint,
    destination: Endpoint,
    protocol: Protocol,
    port: int,
    snapshot: ClusterSnapshot,
    *,
    ipblock_matches_pods: IPBlockMatchesPods = "unknown",
    calico: Enforced = "unknown",
) -> DirectionVerdict:
    """Decide whether the policies of *source* let a connection out; the ingress of the destination is not asked."""
    asked = Question(
        protocol=protocol,
        port=port,
        named_ports=destination.pod.ports if isinstance(destination, PodEndpoint) else (),
        ipblock_matches_pods=ipblock_matches_pods,
        calico=calico,
    )
    return _direction(snapshot, asked, source, destination, PolicyType.EGRESS)


def read_port(protocol: str, port: int, faults: Faults) -> Protocol | None:
    """Return the protocol; None where it or the port number is not valid."""
    known = PROTOCOLS.get(protocol)
    if known is None:
        faults.add("protocol", f"must be TCP, UDP or SCTP, not {shorten(repr(protocol))}", "NotSupported")
    if not FIRST_PORT <= port <= LAST_PORT:
        faults.add("port", f"must be between {FIRST_PORT} and {LAST_PORT}, not {describe(port)}")
        return None
    return known


def read_pod_name(text: str, field: str, snapshot: ClusterSnapshot, faults: Faults) -> Pod | None:
    """Return the pod `namespace/name`, or the pod that a workload of that name makes."""
    namespace, _, name = text.partition("/")
    state = snapshot.state(namespace)
    pod = state.pods.get(name)
    if pod is None:
        workloads = (workload for (_, known), workload in state.workloads.items() if known == name)
        workload = min(workloads, key=lambda workload: workload.kind, default=None)
        if workload is not None:
            pods = pods_of(workload)
            pod = pods[0] if len(pods) == 1 else workload.template
    if pod is None:
        message = f"there is no pod or workload {shorten(name)} in namespace {shorten(namespace)}"
        faults.add(field, message, "NotFound")
    return pod


def _endpoint(text: str, field: str, snapshot: ClusterSnapshot, faults: Faults) -> Endpoint | None:
    if "/" in text:
        pod = read_pod_name(text, field, snapshot, faults)
        if pod is None:
            return None
        return PodEndpoint(pod=pod, namespace_labels=snapshot.state(pod.namespace).namespace.labels)
    try:
        family, number = address_of(text)
    except ValueError:
        faults.add(field, f"{shorten(repr(text))} is neither namespace/pod nor an IP address")
        return None
    return endpoint_at((family, number), snapshot)


def endpoint_at(address: IPAddress, snapshot: ClusterSnapshot) -> Endpoint:
    """Return the pod that has an address: on the pod network, packets from there are that pod's; else the address."""
    family, number = address
    if address not in snapshot.pod_addresses.bearers:
        return Address(family=family, number=number)
    bearers = (
        PodEndpoint(pod=pod, namespace_labels=state.namespace.labels)
        for state in snapshot.namespaces()
        for pod in state.pods.values()
        if (family, number) in pod.addresses and not pod.host_network and not pod.finished
    )
    return min(bearers, key=lambda end: (end.pod.namespace, end.pod.name))


def _direction(
    snapshot: ClusterSnapshot, asked: Question, end: Endpoint, other: Endpoint, policy_type: PolicyType
) -> DirectionVerdict:
    """Return the answer of one end; it is not decided where it depends on the unknown value of a label."""
    first, *others = (
        _direction_of(snapshot, asked, this, that, policy_type) for this in _readings(end) for that in _readings(other)
    )
    if all((found.allowed, found.decided) == (first.allowed, first.decided) for found in others):
        return first
    worst = min((first, *others), key=lambda found: found.allowed)
    return replace(worst, reason=Reason.UNKNOWN_LABEL)


def _readings(end: Endpoint) -> tuple[Endpoint, ...]:
    """Return an end in each reading of its labels with unknown values."""
    if isinstance(end, Address):
        return (end,)
    return tuple(replace(end, pod=replace(end.pod, labels=labels)) for labels in readings(end.pod.labels))


def _direction_of(
    snapshot: ClusterSnapshot, asked: Question, end: Endpoint, other: Endpoint, policy_type: PolicyType
) -> DirectionVerdict:
    reason = _without_policies(end, other)
    if reason is not None or isinstance(end, Address):
        return DirectionVerdict(policy_type=policy_type, reason=reason or Reason.NOT_A_POD)
    calico = snapshot.cluster_policies.calico
    if calico is None or asked.calico == "no":
        return _in_kubernetes(snapshot, asked, end, other, policy_type)
    from webhook.netpol.calico.calico_verdict import ask_calico  # noqa: PLC0415  only where there are such policies

    enforced = ask_calico(calico, snapshot, asked, end, other, policy_type)
    if enforced is None or asked.calico == "yes":
        return enforced or _in_kubernetes(snapshot, asked, end, other, policy_type)
    ignored = _in_kubernetes(snapshot, asked, end, other, policy_type)
    if (ignored.allowed, ignored.decided) == (enforced.allowed, enforced.decided):
        return enforced
    return replace(enforced, reason=Reason.PLUGIN_NOT_KNOWN)


def _in_kubernetes(
    snapshot: ClusterSnapshot, asked: Question, end: PodEndpoint, other: Endpoint, policy_type: PolicyType
) -> DirectionVerdict:
    """Return the answer of a pod by NetworkPolicies and by the tiers of Kubernetes."""
    state = snapshot.state(end.pod.namespace)
    tiers = by_tier(snapshot.cluster_policies.speaking_of(end.pod, end.namespace_labels, policy_type))
    admin = ask_tier(tiers.get(Tier.ADMIN, ()), asked, other, policy_type)
    if admin.answers <= _FINAL:
        return _by_tiers(policy_type, _reason_of(admin, Reason.ADMIN_ACCEPTS, Reason.ADMIN_DENIES), admin)
    isolating = selecting(state.sorted_policies(), end.pod, policy_type)
    if isolating:
        below = by_rules(policy_type, isolating, asked, other)
    else:
        baseline = ask_tier(tiers.get(Tier.BASELINE, ()), asked, other, policy_type)
        reason = _reason_of(baseline, Reason.BASELINE_ACCEPTS, Reason.BASELINE_DENIES)
        below = _by_tiers(policy_type, reason, baseline)
    return _under(admin, below)


_FINAL = frozenset({RuleAction.ACCEPT, RuleAction.DENY})


def _without_policies(end: Endpoint, other: Endpoint) -> Reason | None:
    """Return why an end allows everything, whatever the policies are; None where they decide."""
    if isinstance(end, Address):
        return Reason.NOT_A_POD
    if isinstance(other, PodEndpoint) and _same_pod(end.pod, other.pod):
        return Reason.SELF
    if _is_own_node(end.pod, other):
        return Reason.OWN_NODE
    return Reason.HOST_NETWORK if end.pod.host_network else None


def _reason_of(tier: TierVerdict, accepts: Reason, denies: Reason) -> Reason:
    """Return the reason of a tier after which, where no rule of it matches, everything is allowed."""
    if tier.answers == {RuleAction.ACCEPT}:
        return accepts
    if tier.answers == {RuleAction.DENY}:
        return denies
    return Reason.TIERS_NOT_DECIDED if RuleAction.DENY in tier.answers else Reason.NOT_ISOLATED


def _by_tiers(policy_type: PolicyType, reason: Reason, tier: TierVerdict) -> DirectionVerdict:
    return DirectionVerdict(policy_type=policy_type, reason=reason, policies=tier.policies, rules=tier.rules)


def _under(admin: TierVerdict, below: DirectionVerdict) -> DirectionVerdict:
    """Return what is decided by *below* where the Admin tier leaves the connection to it, or may do so."""
    answers = {action is RuleAction.ACCEPT for action in admin.answers & _FINAL}
    agrees = not answers or (below.decided and answers == {below.allowed})
    return replace(
        below,
        reason=below.reason if agrees else Reason.TIERS_NOT_DECIDED,
        policies=admin.policies + below.policies,
        rules=admin.rules + below.rules,
    )


def _same_pod(pod: Pod, other: Pod) -> bool:
    """Whether two ends are one pod; two pods of one template are not, so a template is never the same pod."""
    same = (pod.namespace, pod.name) == (other.namespace, other.name)
    return same and not pod.template_of and not other.template_of


def _is_own_node(pod: Pod, other: Endpoint) -> bool:
    if isinstance(other, Address):
        return (other.family, other.number) in pod.host_addresses
    return other.pod.host_network and other.pod.node != "" and other.pod.node == pod.node
