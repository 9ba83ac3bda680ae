"""The text of a refusal: the one paragraph that kubectl prints, and its causes."""

from collections.abc import Collection, Mapping, Sequence

from webhook.admission.response import LONGEST_MESSAGE, LONGEST_NAME, Cause, as_many_as_fit, one_line, printable
from webhook.admission.verdict import Lost, PodsSeen, ResourceName
from webhook.netpol.faults import Fault
from webhook.netpol.reading import shorten
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import AddressWitness

GENERATED_NAME = "(generated name)"
"""The text in the place of a name that the API server has yet to generate."""

_VERBS = {"CREATE": "creating", "UPDATE": "changing", "DELETE": "deleting"}

MOST_LABELS = 3
MOST_NAMES = 2

Sentence = tuple[str, str, str]
"""The sentence about a loss: the text before the port, the port, and the text after it with its separator."""


def refusal(
    operation: str, resource: ResourceName, lost: Sequence[Lost], advice: Sequence[str], elsewhere: str = ""
) -> tuple[str, tuple[Cause, ...]]:
    """
    Return the paragraph about a change that cuts off required ingress, the worst loss first, and its causes.

    Args:
        operation: of the change.
        resource: the policy.
        lost: what is a reason to refuse; there is at least one.
        advice: what to do, as `advice_on` returns it.
        elsewhere: what it would cut off in other namespaces, as the end of a sentence; mostly empty.
    """
    start = f"{_VERBS[operation]} {resource.kind} {_resource(resource)} would cut off required {directions_of(lost)}: "
    end = f"{elsewhere}. {' '.join(advice)}"
    room = LONGEST_MESSAGE - len(start) - len(end)
    sentences = [_sentence(item) for item in lost]
    message = one_line(start + as_many_as_fit(_told(sentences), room) + end, LONGEST_MESSAGE)
    return message, tuple(map(_cause, lost, sentences))


def directions_of(lost: Sequence[Lost]) -> str:
    """Return the directions of losses, `ingress` first."""
    return " and ".join(sorted({item.direction for item in lost}, reverse=True))


def losses_in_words(lost: Sequence[Lost], verb: str = "could not be reached") -> tuple[str, ...]:
    """Return one sentence for all ports of the same pods that lose the same clients to the same policies."""
    return _told([_sentence(item, verb) for item in lost])


def _told(sentences: Sequence[Sentence]) -> tuple[str, ...]:
    ports: dict[tuple[str, str], list[str]] = {}
    for head, port, tail in sentences:
        ports.setdefault((head, tail), []).append(port)
    return tuple(_in_words((head, " and ".join(known), tail)) for (head, tail), known in ports.items())


def _in_words(sentence: Sentence) -> str:
    head, port, tail = sentence
    return printable(f"{head} {port}{tail}")


def advice_on(lost: Sequence[Lost], edit: str) -> tuple[str, ...]:
    """
    Return what to do about losses, the best advice first: a policy to add, a small edit of the change, the switch.

    Args:
        lost: what is a reason to refuse; there is at least one.
        edit: the small edit of the refused policy that makes it acceptable; empty if there is none.
    """
    first = lost[0]
    if first.component == "operator":
        switch = "set DEPLOY_OPERATOR_NETWORK_POLICY=false on the operator"
    else:
        switch = f"set spec.deployNetworkPolicies: false on {first.instance.kind} {short_name(first.instance.name)}"
    edits = (f"Or {edit}.",) if edit else ()
    return _policy_to_add(lost), *edits, f"Or {switch}: then you must open these ports yourself."


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
    what = f"{lost.instance.kind} {short_name(lost.instance.name)} {lost.component}"
    return f"{what} {_port(lost)}"


def told_closed(lost: Lost) -> str:
    """Return what is closed now, with the evidence of a refusal."""
    return one_line(_in_words(_sentence(lost, "cannot be reached")), LONGEST_MESSAGE)


def _cause(lost: Lost, sentence: Sentence) -> Cause:
    return Cause(
        reason="RequiredIngressLost" if lost.direction == "ingress" else "RequiredEgressLost",
        message=one_line(_in_words(sentence), LONGEST_MESSAGE),
        field=f"{lost.component}:{_port(lost)}",
    )


def _port(lost: Lost) -> str:
    return f"{lost.protocol}/{lost.port}" if lost.port is not None else f"any {lost.protocol} port"


def _sentence(lost: Lost, verb: str = "could not be reached") -> Sentence:
    ref = lost.instance
    by = denied_by(lost.policies) if lost.denied else isolated_by(lost.policies, lost.terminating)
    unsure = "" if lost.decided else f" (not decided: {lost.why_undecided})"
    head = f"{ref.kind} {short_name(ref.namespace)}/{short_name(ref.name)}: {lost.component}"
    if lost.direction == "egress":
        where = f" at {_port(lost)}" if lost.port is not None else ""
        cannot = "could not reach" if verb == "could not be reached" else "cannot reach"
        return f"{head} {_pods(lost.pods)} {cannot}", f"{lost.destination}{where} ({lost.need})", f", {by}{unsure}"
    clients = f"{verb} from {_clients(lost.counterexample)}"
    return head, _port(lost), f" of {_pods(lost.pods)} {clients}, {by}{unsure}"


def isolated_by(policies: Sequence[str], terminating: Collection[str]) -> str:
    """Return `isolated by` and the first names of *policies*; they are not known where they are only in flight."""
    if not policies:
        return "isolated by other policies"
    shown = [short_name(name) + (" (terminating)" if name in terminating else "") for name in policies[:MOST_NAMES]]
    more = f" and {len(policies) - MOST_NAMES} more" if len(policies) > MOST_NAMES else ""
    return f"isolated by {', '.join(shown)}{more}"


def denied_by(policies: Sequence[str]) -> str:
    """Return `denied by` and the first names of cluster-wide policies."""
    more = f" and {len(policies) - MOST_NAMES} more" if len(policies) > MOST_NAMES else ""
    return f"denied by {', '.join(map(short_name, policies[:MOST_NAMES]))}{more}"


def _pods(pods: PodsSeen) -> str:
    if pods.names:
        shown = ", ".join(short_name(name) for name in pods.names[:MOST_NAMES])
        more = f" and {len(pods.names) - MOST_NAMES} more" if len(pods.names) > MOST_NAMES else ""
        return f"pod{'s' if len(pods.names) > 1 else ''} {shown}{more}"
    seen = "future pods (no pod seen yet)" if pods.assumed else "future pods"
    return f"{seen} with {_labels(pods.labels)}"


def _clients(example: PodExample | AddressWitness | None) -> str:
    if example is None:
        return "any client that could reach it before"
    if isinstance(example, AddressWitness):
        return f"addresses outside the cluster such as {example.cidr}"
    if example.pod:
        return f"pod {short_name(example.namespace)}/{short_name(example.pod)}"
    pods = "any pod" if example.any_pod else "some pods"
    pod = f"a pod with {_labels(example.labels)}" if example.labels else "a pod without labels"
    if example.namespace_labels:
        return f"{pods}, for example {pod} in a namespace with {_labels(example.namespace_labels)}"
    return f"{pods}, for example {pod} in namespace {short_name(example.namespace)}"


def _labels(labels: Mapping[str, str]) -> str:
    shown = [f"{short_name(key)}={short_name(value)}" for key, value in sorted(labels.items())[:MOST_LABELS]]
    more = f" and {len(labels) - MOST_LABELS} more labels" if len(labels) > MOST_LABELS else ""
    return (", ".join(shown) or "no labels") + more


def _policy_to_add(lost: Sequence[Lost]) -> str:
    first = lost[0]
    if first.denied:
        where = f"{_port(first)} {'to' if first.direction == 'ingress' else 'from'} these pods"
        return f"First add an earlier rule that accepts {where}, or exclude these pods from its subject."
    if first.remedy is None:
        return f"First allow this {first.direction} in a policy that selects these pods."
    others = {(item.instance, item.component) for item in lost} - {(first.instance, first.component)}
    likewise = " (and likewise for the others)" if others else ""
    spec = first.remedy["spec"]
    if first.direction == "egress":
        selector = _labels(spec["podSelector"]["matchLabels"])
        policy = f"a NetworkPolicy that allows this egress from pods with {selector}"
        return f"First apply {policy}{likewise} (`eem-guardrail check --fix` or `audit --fix` prints one)."
    ports = ", ".join(f"{entry['protocol']}/{entry['port']}" for entry in spec["ingress"][0]["ports"])
    selector = _labels(spec["podSelector"]["matchLabels"])
    policy = f"a NetworkPolicy that allows ingress on {ports} without `from` to pods with {selector}"
    return f"First apply {policy}{likewise}."


def _resource(resource: ResourceName) -> str:
    if not resource.namespace:
        return short_name(resource.name or GENERATED_NAME)
    return f"{short_name(resource.namespace)}/{short_name(resource.name or GENERATED_NAME)}"


def short_name(text: str) -> str:
    """Return a name for a message: a longer one is cut in the middle."""
    return text if len(text) <= LONGEST_NAME else shorten(text, LONGEST_NAME)
