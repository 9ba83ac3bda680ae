"""
Put findings into words: the one paragraph that kubectl prints, its causes, and warnings.

The API server drops a warning with a control character, and cuts what is long; so every text here is one line of
printable characters and within its limit.
"""

from collections.abc import Iterable, Mapping, Sequence

from webhook.admission.response import Cause
from webhook.admission.text import LONGEST_MESSAGE, LONGEST_NAME, as_many_as_fit, one_line
from webhook.admission.verdict import Lost, PodsSeen, ResourceName
from webhook.netpol.faults import Fault
from webhook.netpol.reading import shorten
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import AddressWitness

GENERATED_NAME = "(generated name)"
"""What stands for the name that the API server has yet to make of generateName."""

MOST_LABELS = 3
MOST_NAMES = 2


def refusal(operation: str, resource: ResourceName, lost: Sequence[Lost]) -> str:
    """Give the paragraph that says what a change takes away and what to do, the worst first."""
    verb = {"CREATE": "creating", "UPDATE": "changing", "DELETE": "deleting"}[operation]
    name = f"{_name(resource.namespace)}/{_name(resource.name or GENERATED_NAME)}"
    start = f"{verb} NetworkPolicy {name} would cut off required ingress: "
    end = f". {_advice(lost)}"
    room = LONGEST_MESSAGE - len(start) - len(end)
    return one_line(start + as_many_as_fit(_sentences(lost), room) + end, LONGEST_MESSAGE)


def _sentences(lost: Iterable[Lost]) -> list[str]:
    """Give one sentence for all ports of the same pods that lose the same clients to the same policies."""
    ports: dict[tuple[str, str], list[str]] = {}
    for item in lost:
        ports.setdefault(_around_port(item), []).append(f"{item.protocol.value}/{item.port}")
    return [f"{head} {' and '.join(known)} {tail}" for (head, tail), known in ports.items()]


def invalid(resource: ResourceName, faults: Sequence[Fault]) -> str:
    """Give the paragraph that says what is wrong with the object itself, every fault with its field."""
    name = f"{_name(resource.namespace)}/{_name(resource.name or GENERATED_NAME)}"
    start = f"{resource.kind} {name} is not valid: "
    told = [f"{fault.field}: {fault.message}" for fault in faults]
    return one_line(start + as_many_as_fit(told, LONGEST_MESSAGE - len(start)), LONGEST_MESSAGE)


def causes_of(lost: Iterable[Lost]) -> tuple[Cause, ...]:
    """Give one cause for each lost requirement."""
    return tuple(
        Cause(
            reason="RequiredIngressLost",
            message=one_line(_loss(item), LONGEST_MESSAGE),
            field=f"{item.component.value}:{item.protocol.value}/{item.port}",
        )
        for item in lost
    )


def summary(lost: Lost) -> str:
    """Give a loss in a few words, for warnings."""
    what = f"{lost.instance.kind} {shorten(lost.instance.name, 24)} {lost.component.value}"
    return f"{what} {lost.protocol.value}/{lost.port}"


def _loss(lost: Lost) -> str:
    head, tail = _around_port(lost)
    return f"{head} {lost.protocol.value}/{lost.port} {tail}"


def _around_port(lost: Lost) -> tuple[str, str]:
    """Give what stands before and after the port in the sentence about a loss."""
    ref = lost.instance
    policies = ", ".join(_name(policy) for policy in lost.policies[:MOST_NAMES])
    more = f" and {len(lost.policies) - MOST_NAMES} more" if len(lost.policies) > MOST_NAMES else ""
    by = f"isolated by {policies}{more}" if policies else "by what is left of the policies"
    unsure = "" if lost.decided else f" (not decided: {lost.why_undecided})"
    head = f"{ref.kind} {_name(ref.namespace)}/{_name(ref.name)}: {lost.component.value}"
    return head, f"of {_pods(lost.pods)} could not be reached from {_who(lost.counterexample)}, {by}{unsure}"


def _pods(pods: PodsSeen) -> str:
    if pods.names:
        shown = ", ".join(_name(name) for name in pods.names[:MOST_NAMES])
        more = f" and {len(pods.names) - MOST_NAMES} more" if len(pods.names) > MOST_NAMES else ""
        return f"pod {shown}{more}"
    seen = "pods to come (none seen yet)" if pods.assumed else "pods to come"
    return f"{seen} with {_labels(pods.labels)}"


def _who(example: PodExample | AddressWitness | None) -> str:
    if example is None:
        return "everywhere that it could"
    if isinstance(example, AddressWitness):
        return f"addresses outside the cluster such as {example.cidr}"
    pod = f"a pod with {_labels(example.labels)}" if example.labels else "a pod without labels"
    if example.namespace_labels:
        return f"{pod} in a namespace with {_labels(example.namespace_labels)}"
    return f"{pod} in namespace {_name(example.namespace)}"


def _labels(labels: Mapping[str, str]) -> str:
    shown = [f"{_name(key)}={_name(value)}" for key, value in sorted(labels.items())[:MOST_LABELS]]
    more = f" and {len(labels) - MOST_LABELS} more labels" if len(labels) > MOST_LABELS else ""
    return (", ".join(shown) or "no labels") + more


def _advice(lost: Sequence[Lost]) -> str:
    first = lost[0]
    if first.component.value == "operator":
        switch = "or give the operator DEPLOY_OPERATOR_NETWORK_POLICY=false"
    else:
        switch = f"or set spec.deployNetworkPolicies: false on {first.instance.kind} {_name(first.instance.name)}"
    if first.remedy is None:
        return f"Allow it first in a policy that selects these pods, {switch}."
    others = {(item.instance, item.component) for item in lost} - {(first.instance, first.component)}
    likewise = " (and likewise for the others)" if others else ""
    spec = first.remedy["spec"]
    ports = ", ".join(f"{entry['protocol']}/{entry['port']}" for entry in spec["ingress"][0]["ports"])
    selector = _labels(spec["podSelector"]["matchLabels"])
    policy = f"a NetworkPolicy that allows ingress on {ports} without `from` to pods with {selector}"
    return f"First apply {policy}{likewise}, {switch}."


def _name(text: str) -> str:
    return shorten(text, LONGEST_NAME)
