"""The text of a refusal: the one paragraph that kubectl prints, and its causes."""

from collections.abc import Mapping, Sequence

from webhook.admission.response import LONGEST_MESSAGE, LONGEST_NAME, Cause, as_many_as_fit, one_line
from webhook.admission.verdict import Lost, PodsSeen, ResourceName
from webhook.netpol.faults import Fault
from webhook.netpol.reading import shorten
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import AddressWitness

GENERATED_NAME = "(generated name)"
"""The text in the place of a name that the API server has yet to generate."""

MOST_LABELS = 3
MOST_NAMES = 2

Sentence = tuple[str, str, str]
"""The sentence about a loss: the text before the port, the port, and the text after it."""


def refusal(operation: str, resource: ResourceName, lost: Sequence[Lost]) -> tuple[str, tuple[Cause, ...]]:
    """
    Return the paragraph about a change that cuts off required ingress, the worst loss first, and its causes.

    The paragraph has one sentence for all ports of the same pods that lose the same clients to the same policies.
    """
    verb = {"CREATE": "creating", "UPDATE": "changing", "DELETE": "deleting"}[operation]
    start = f"{verb} NetworkPolicy {_resource(resource)} would cut off required ingress: "
    end = f". {_advice(lost)}"
    sentences = [_sentence(item) for item in lost]
    ports: dict[tuple[str, str], list[str]] = {}
    for head, port, tail in sentences:
        ports.setdefault((head, tail), []).append(port)
    told = [f"{head} {' and '.join(known)} {tail}" for (head, tail), known in ports.items()]
    room = LONGEST_MESSAGE - len(start) - len(end)
    message = one_line(start + as_many_as_fit(told, room) + end, LONGEST_MESSAGE)
    return message, tuple(map(_cause, lost, sentences))


def invalid(resource: ResourceName, faults: Sequence[Fault]) -> tuple[str, tuple[Cause, ...]]:
    """Return the paragraph about an object that is not valid, every fault with its field, and its causes."""
    start = f"{resource.kind} {_resource(resource)} is not valid: "
    told = [f"{fault.field}: {fault.message}" for fault in faults]
    message = one_line(start + as_many_as_fit(told, LONGEST_MESSAGE - len(start)), LONGEST_MESSAGE)
    causes = tuple(
        Cause(
            reason=f"FieldValue{fault.reason}",
            message=one_line(fault.message, LONGEST_MESSAGE),
            field=one_line(fault.field, LONGEST_MESSAGE),
        )
        for fault in faults
    )
    return message, causes


def summary(lost: Lost) -> str:
    """Return a loss in a few words, for warnings."""
    what = f"{lost.instance.kind} {shorten(lost.instance.name, 24)} {lost.component.value}"
    return f"{what} {_port(lost)}"


def _cause(lost: Lost, sentence: Sentence) -> Cause:
    return Cause(
        reason="RequiredIngressLost",
        message=one_line(" ".join(sentence), LONGEST_MESSAGE),
        field=f"{lost.component.value}:{_port(lost)}",
    )


def _port(lost: Lost) -> str:
    return f"{lost.protocol.value}/{lost.port}"


def _sentence(lost: Lost) -> Sentence:
    ref = lost.instance
    policies = ", ".join(_name(policy) for policy in lost.policies[:MOST_NAMES])
    more = f" and {len(lost.policies) - MOST_NAMES} more" if len(lost.policies) > MOST_NAMES else ""
    unsure = "" if lost.decided else f" (not decided: {lost.why_undecided})"
    head = f"{ref.kind} {_name(ref.namespace)}/{_name(ref.name)}: {lost.component.value}"
    clients = f"could not be reached from {_clients(lost.counterexample)}"
    return head, _port(lost), f"of {_pods(lost.pods)} {clients}, isolated by {policies}{more}{unsure}"


def _pods(pods: PodsSeen) -> str:
    if pods.names:
        shown = ", ".join(_name(name) for name in pods.names[:MOST_NAMES])
        more = f" and {len(pods.names) - MOST_NAMES} more" if len(pods.names) > MOST_NAMES else ""
        return f"pod {shown}{more}"
    seen = "future pods (no pod seen yet)" if pods.assumed else "future pods"
    return f"{seen} with {_labels(pods.labels)}"


def _clients(example: PodExample | AddressWitness | None) -> str:
    if example is None:
        return "any client that could reach it before"
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
        return f"First allow this ingress in a policy that selects these pods, {switch}."
    others = {(item.instance, item.component) for item in lost} - {(first.instance, first.component)}
    likewise = " (and likewise for the others)" if others else ""
    spec = first.remedy["spec"]
    ports = ", ".join(f"{entry['protocol']}/{entry['port']}" for entry in spec["ingress"][0]["ports"])
    selector = _labels(spec["podSelector"]["matchLabels"])
    policy = f"a NetworkPolicy that allows ingress on {ports} without `from` to pods with {selector}"
    return f"First apply {policy}{likewise}, {switch}."


def _resource(resource: ResourceName) -> str:
    return f"{_name(resource.namespace)}/{_name(resource.name or GENERATED_NAME)}"


def _name(text: str) -> str:
    return shorten(text, LONGEST_NAME)
