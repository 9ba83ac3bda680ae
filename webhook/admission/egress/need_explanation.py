"""
Explain findings about egress: each lost need with its pods, its policies and a remedy; and the warnings.

A remedy is a policy that keeps every egress that EEM needs, whatever a refused change does. It selects the pods that
lose something and allows every path that their needs have, so that it may be applied first: policies add up, and a
policy that restricts egress would otherwise cut what it does not list.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from ipaddress import ip_address
from itertools import chain, count
from typing import Any

from webhook.admission.egress.need_changes import EgressFinding
from webhook.admission.refusal import GENERATED_NAME
from webhook.admission.remedy import IDENTITY_LABELS, LONGEST_STEM, common_labels, selector_of
from webhook.admission.response import warning
from webhook.admission.verdict import Lost, PodsSeen
from webhook.eem.instances import Component, InstanceRef
from webhook.eem.needs import Need
from webhook.eem.paths import NeedPath
from webhook.eem.subjects import Subject
from webhook.eem.view import EemNamespace
from webhook.netpol.controller_labels import VOLATILE_LABELS
from webhook.netpol.intervals import LAST, IPAddress
from webhook.netpol.matching import Endpoint, PodEndpoint
from webhook.netpol.model import Labels, NetworkPolicy, PodPeer
from webhook.netpol.reading import shorten
from webhook.netpol.selectors import NAMESPACE_NAME_LABEL, LabelSelector

Node = dict[str, Any]

SHORT_NAME = 24
TABLE_LABEL = "eem.ei.ibm.com/component"
"""The label in the product's table of network policies, which no public pod was seen with."""


class EgressRemedies:
    """
    The remedies for the egress of one refusal: one policy for the pods of one instance.

    Args:
        view: the namespace.
        changed: the name of the policy that is changed.
        needs: every need of the namespace.
        findings: what is lost beside the findings that a remedy is asked for: a remedy opens it as well.
    """

    def __init__(
        self, view: EemNamespace, changed: str, needs: Iterable[Need], findings: Iterable[EgressFinding] = ()
    ) -> None:
        self._view = view
        self._taken = {changed}
        self._needs: dict[tuple[Component, InstanceRef], list[Need]] = {}
        for need in needs:
            if need.level != "note":
                self._needs.setdefault((need.component, need.instance), []).append(need)
        self._order = {key: place for place, key in enumerate(self._needs)}
        self._lost = {_key(finding.need) for finding in findings if finding.is_lost}
        self._known: dict[tuple[InstanceRef, Component], Mapping[str, Any] | None] = {}

    def remedy(self, findings: Sequence[EgressFinding]) -> Mapping[str, Any] | None:
        """Return a NetworkPolicy that selects every subject of the findings of one instance; None if there is none."""
        need = findings[0].need
        question = need.instance, need.component
        if question not in self._known:
            subjects = [finding.subject for finding in findings]
            labels = selector_of(subjects, common_labels(subjects))
            self._known[question] = None if labels is None else self._policy(labels, findings)
        return self._known[question]

    def _policy(self, labels: Labels, findings: Sequence[EgressFinding]) -> Mapping[str, Any]:
        need = findings[0].need
        # What cannot be known, such as the addresses of Kafka, is opened only where nothing else would be left.
        lost = self._lost | {_key(finding.need) for finding in findings if finding.is_lost}
        isolated = all(finding.was_isolated for finding in findings)
        wanted = [
            known
            for owner in self._selected_by(labels)
            for known in self._needs[owner]
            if any(path.is_known or path.ports for path in known.paths) or not isolated or _key(known) in lost
        ]
        name = self._free_name(need)
        self._taken.add(name)
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": self._view.inventory.namespace},
            "spec": {
                "podSelector": {"matchLabels": dict(labels)},
                "policyTypes": ["Egress"],
                "egress": list(_rules(wanted)),
            },
        }

    @cached_property
    def _subjects(self) -> list[Subject]:
        return [known.subject for known in self._view.guarded]

    @cached_property
    def _labelled(self) -> dict[tuple[str, str], list[Subject]]:
        """Return the subjects by label; an audit in which nothing is cut off does not ask for them."""
        found: dict[tuple[str, str], list[Subject]] = {}
        for subject in self._subjects:
            for label in subject.pod.labels.items():
                found.setdefault(label, []).append(subject)
        return found

    def _selected_by(self, labels: Labels) -> list[tuple[Component, InstanceRef]]:
        """Return the components with needs that labels select, by the rarest of the labels: each remedy asks."""
        listed = (self._labelled.get(label, []) for label in labels.items())
        fewest = min(listed, key=len, default=self._subjects)
        found = {
            (subject.component, subject.instance) for subject in fewest if labels.items() <= subject.pod.labels.items()
        }
        return sorted(found & self._order.keys(), key=self._order.__getitem__)

    def _free_name(self, need: Need) -> str:
        """Return a name that neither a policy nor another remedy has."""
        stem = f"allow-egress-{need.instance.name}-{need.component.value}"[:LONGEST_STEM].rstrip("-.")
        names = chain((stem,), (f"{stem}-{number}" for number in count(2)))
        return next(name for name in names if name not in self._taken and name not in self._view.policies)


def _rules(needs: Iterable[Need]) -> Iterator[Node]:
    """Yield one rule for each set of ports, with every destination that is needed at these ports."""
    peers: dict[str, list[Node]] = {}
    ports: dict[str, list[Node]] = {}
    for need in needs:
        for path in need.paths:
            for to, port in _allowed(path, need.protocol.value):
                key = "" if to is None else repr(to)
                peers[key] = [] if to is None else [to]
                if port not in ports.setdefault(key, []):
                    ports[key].append(port)
    for key, listed in peers.items():
        yield {"to": listed, "ports": ports[key]} if listed else {"ports": ports[key]}


def _allowed(path: NeedPath, protocol: str) -> Iterator[tuple[Node | None, Node]]:
    """Yield the peers and ports of a path; no peer stands for every destination, where it is not known."""
    if not path.is_known:
        for port in path.ports or (None,):
            yield None, {"protocol": protocol} if port is None else {"protocol": protocol, "port": port}
    for end in path.ends:
        for peer in _peers(end.endpoint):
            yield peer, {"protocol": protocol, "port": end.port}


def _peers(endpoint: Endpoint) -> Iterator[Node]:
    if isinstance(endpoint, PodEndpoint) and not endpoint.pod.host_network:
        labels = endpoint.pod.labels
        lasting = {key: value for key, value in labels.items() if key not in VOLATILE_LABELS}
        identity = {key: lasting[key] for key in IDENTITY_LABELS if key in lasting}
        pods = {"matchLabels": identity or lasting} if lasting else {}
        yield {
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: endpoint.pod.namespace}},
            "podSelector": pods,
        }
        return
    addresses = endpoint.pod.addresses if isinstance(endpoint, PodEndpoint) else ((endpoint.family, endpoint.number),)
    yield from ({"ipBlock": {"cidr": _cidr(address)}} for address in addresses)


def _cidr(address: IPAddress) -> str:
    family, number = address
    bits = LAST[family].bit_length()
    return f"{ip_address(number.to_bytes(bits // 8))}/{bits}"


def explain_egress(findings: Sequence[EgressFinding], remedies: EgressRemedies) -> tuple[Lost, ...]:
    """Return each lost need once, with all its pods: those that are surely lost first."""
    groups: dict[tuple[str, InstanceRef, str, bool], list[EgressFinding]] = {}
    for finding in findings:
        if finding.is_loss:
            question = (*_key(finding.need), finding.need.destination, finding.is_decided)
            groups.setdefault(question, []).append(finding)
    found = [lost_egress(group, remedies) for group in groups.values()]
    return tuple(sorted(found, key=lambda item: (not item.decided, item.pods.assumed, not item.pods.names)))


def lost_egress(group: Sequence[EgressFinding], remedies: EgressRemedies) -> Lost:
    """Return what one need loses; *group* has a finding for each set of its pods."""
    need = group[0].need
    names = sorted({name for finding in group for name in finding.subject.names})
    policies = dict.fromkeys(_shown(policy) for finding in group for policy in finding.isolating)
    denying = dict.fromkeys(name for finding in group for name in finding.denied_by)
    hint = _hint(group[0])
    return Lost(
        instance=need.instance,
        component=need.component,
        protocol=need.protocol,
        port=need.port,
        pods=PodsSeen(
            labels=common_labels([finding.subject for finding in group]),
            names=tuple(names),
            assumed=all(finding.subject.assumed for finding in group),
        ),
        counterexample=None,
        policies=tuple(denying or policies),
        denied=bool(denying),
        decided=group[0].is_decided,
        why_undecided=group[0].why_undecided,
        remedy=None if denying else remedies.remedy(group),
        direction="egress",
        need=need.id,
        destination=f"{_destination(need)}{hint}",
    )


def _shown(policy: NetworkPolicy) -> str:
    return policy.full_name if policy.name else f"{policy.namespace}/{GENERATED_NAME}"


def _destination(need: Need) -> str:
    rest = " (no TCP destination other than DNS and the manager remains)" if need.id == "E4" else ""
    return f"{need.destination}{rest}"


def _hint(finding: EgressFinding) -> str:
    """Return a clause about a label that the table of the product names and no pod has."""
    ends = (end.endpoint for path in finding.need.paths for end in path.ends)
    pods = [end.pod for end in ends if isinstance(end, PodEndpoint)]
    if not pods or any(TABLE_LABEL in pod.labels for pod in pods):
        return ""
    selectors = (
        peer.pod_selector
        for policy in finding.isolating
        for rule in policy.egress
        for peer in rule.peers or ()
        if isinstance(peer, PodPeer)
    )
    return f" (no such pod has the label {TABLE_LABEL})" if any(map(_uses_table_label, selectors)) else ""


def _uses_table_label(selector: LabelSelector) -> bool:
    return any(requirement.key == TABLE_LABEL for requirement in selector.requirements)


def egress_warnings(findings: Iterable[EgressFinding], told: AbstractSet[tuple[str, InstanceRef]]) -> tuple[str, ...]:
    """
    Return a warning for each need about which something is doubtful.

    Args:
        findings: in one world.
        told: the needs, with their instances, that are in the message of a refusal already.
    """
    return tuple(dict.fromkeys(_warning(finding) for finding in findings if _key(finding.need) not in told))


def _key(need: Need) -> tuple[str, InstanceRef]:
    return need.id, need.instance


def _warning(finding: EgressFinding) -> str:
    need = finding.need
    port = f"{need.protocol.value}/{need.port}" if need.port else f"any {need.protocol.value} port"
    what = f"egress {need.id}, {shorten(need.instance.name, SHORT_NAME)} {need.component.value} to {need.destination}"
    text = f"{what} {port}"
    if finding.why_undecided:
        return warning(f"{text}: {finding.why_undecided}")
    state = "cut off" if finding.is_lost else "was cut off and still is"
    by = f"isolated by {_first(finding)}"
    if finding.denied_by:
        by = f"denied by {shorten(finding.denied_by[0], SHORT_NAME)}"
    return warning(f"{text}: {state} ({by})")


def _first(finding: EgressFinding) -> str:
    return shorten(_shown(finding.isolating[0]), SHORT_NAME) if finding.isolating else "policies"
