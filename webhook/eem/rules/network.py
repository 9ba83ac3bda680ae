"""Rules for where an instance lives: its name, its namespace, and who keeps its NetworkPolicies."""

from collections.abc import Sequence

from webhook.eem.rules.formats import is_label
from webhook.eem.rules.model import EEM, KINDS, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.nodes import child
from webhook.eem.rules.paths import shown

_POLICIES = 'EEM 11.8, "Network policies"'
# A Service's name has at most 63 characters, a StatefulSet's 52 (the revision's hash follows in a label): less what
# the operator puts behind the instance's name, -ibm-eem-manager (16) and -ibm-egw-svc (12).
_LONGEST_NAME = {EEM: 36, "EventGateway": 51}


def _policies_off(subject: Subject) -> Sequence[Fault]:
    if child(subject.spec, "deployNetworkPolicies") is not False:
        return ()
    message = "is false: nobody but you keeps the ports open where another policy isolates the pods"
    return (Fault(path=("spec", "deployNetworkPolicies"), message=message),)


def _reserved_namespace(subject: Subject) -> Sequence[Fault]:
    namespace = subject.namespace
    if namespace != "default" and not namespace.startswith(("kube-", "openshift")):
        return ()
    message = f"{shown(namespace)} belongs to the cluster: expected a namespace of the instance's own"
    return (Fault(path=("metadata", "namespace"), message=message),)


def _terminating_namespace(subject: Subject) -> Sequence[Fault]:
    namespace = subject.context.namespaces.get(subject.namespace)
    if (
        child(namespace, "metadata", "deletionTimestamp") is None
        and child(namespace, "status", "phase") != "Terminating"
    ):
        return ()
    message = f"{shown(subject.namespace)} is being deleted: nothing new can be made in it"
    return (Fault(path=("metadata", "namespace"), message=message),)


def _long_name(subject: Subject) -> Sequence[Fault]:
    longest = _LONGEST_NAME[subject.kind]
    if len(subject.name) <= longest:
        return ()
    message = f"has {len(subject.name)} characters: more than {longest} may leave none for what the operator appends"
    return (Fault(path=("metadata", "name"), message=message),)


def _dotted_name(subject: Subject) -> Sequence[Fault]:
    if not subject.name or is_label(subject.name) or "." not in subject.name:
        return ()
    message = f'"{shown(subject.name)}" has dots: the Service that is named after it may have none'
    return (Fault(path=("metadata", "name"), message=message),)


RULES: tuple[Rule, ...] = (
    Rule(
        id="network.policies-off",
        severity="warn",
        kinds=KINDS,
        field="spec.deployNetworkPolicies",
        message="Without the operator's NetworkPolicies the ports are the user's to keep open.",
        reason=Reason.FORBIDDEN,
        source=_POLICIES,
        check=_policies_off,
    ),
    Rule(
        id="network.reserved-namespace",
        severity="warn",
        kinds=KINDS,
        field="metadata.namespace",
        message="An instance should have a namespace of its own, none of the cluster's.",
        reason=Reason.FORBIDDEN,
        source='EEM 11.8, "Installing on Kubernetes"',
        check=_reserved_namespace,
    ),
    Rule(
        id="network.terminating-namespace",
        severity="deny",
        kinds=KINDS,
        field="metadata.namespace",
        message="Nothing can be made in a namespace that is being deleted.",
        reason=Reason.FORBIDDEN,
        source="Kubernetes, NamespaceLifecycle",
        check=_terminating_namespace,
        on=On.CREATE,
    ),
    Rule(
        id="network.long-name",
        severity="warn",
        kinds=KINDS,
        field="metadata.name",
        message="The name should leave room for what the operator appends.",
        reason=Reason.TOO_LONG,
        source="Kubernetes, Service and StatefulSet names",
        check=_long_name,
    ),
    Rule(
        id="network.dotted-name",
        severity="warn",
        kinds=KINDS,
        field="metadata.name",
        message="The name should have no dots.",
        reason=Reason.INVALID,
        source="Kubernetes, Service names",
        check=_dotted_name,
    ),
)
