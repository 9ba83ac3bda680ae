"""Rules for the object as a whole: its size, its API version, its metadata, and what is left to fill in."""

import re
from collections.abc import Iterator

from webhook.eem.resources import EEM_GROUP, EEM_VERSION, GATEWAY_KIND, MANAGER_KIND
from webhook.eem.rules.rule import CREATE_ONLY, GATEWAY_ONLY, KINDS, Resource, Rule, Violations, rule
from webhook.netpol.names import is_dns_label, is_dns_subdomain
from webhook.netpol.reading import Path, Tree, is_object, list_at, shown, text_at, value_at

_API_VERSION = f"{EEM_GROUP}/{EEM_VERSION}"
_POLICIES = 'EEM 11.8, "Network policies"'
_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>@\n]{0,100}>")
# Below these fields a string may be a program, a page or an address: only one that is nothing else is a placeholder.
_FREE_TEXT = frozenset({"annotations", "pod", "config", "gatewayContact", "traceSpec"})
# A Service's name has at most 63 characters, a StatefulSet's 52 (the hash of the revision follows in a label): less
# what the operator appends to the instance's name, -ibm-eem-manager (16) and -ibm-egw-svc (12).
_LONGEST_NAME = {MANAGER_KIND: 36, GATEWAY_KIND: 51}
# An instance in use has 50 to 500 values. To judge one takes up to 4 µs, at an UPDATE before and after, and no object
# may hold the event loop for more than 50 ms.
MOST_VALUES = 5_000
# A pod template has about 15 levels.
MOST_LEVELS = 100
# etcd refuses larger requests unless it is told otherwise (--max-request-bytes, 1.5 MiB).
MOST_CHARACTERS = 1_572_864

TOO_LARGE = Rule(
    id="structure.too-large",
    severity="deny",
    kinds=KINDS,
    field="spec",
    message=(
        f"An object must have at most {MOST_VALUES:,} values, {MOST_LEVELS} levels and {MOST_CHARACTERS:,} characters; "
        "a larger one is denied without evaluation, whatever is set for this rule."
    ),
    reason="TooLong",
    source="etcd, --max-request-bytes; limits of this service",
    lasting=True,
)


def excess_of(document: Tree) -> str:
    """
    Return in what the spec of an object exceeds the limits; empty where it does not.

    No more values are read than the limit allows, so this is quick for any object.
    """
    level, levels, values, characters = [document.get("spec")], 0, 0, 0
    while level:
        below: list[object] = []
        for node in level:
            if isinstance(node, str):
                characters += len(node)
            elif is_object(node):
                values += len(node)
                if values <= MOST_VALUES:
                    characters += sum(map(len, map(str, node)))
                    below.extend(node.values())
            elif isinstance(node, (list, tuple)):
                values += len(node)
                if values <= MOST_VALUES:
                    below.extend(node)
        levels += 1
        for count, most, what in (
            (values, MOST_VALUES, "values"),
            (characters, MOST_CHARACTERS, "characters"),
            (levels, MOST_LEVELS, "levels"),
        ):
            if count > most:
                return (
                    f"must have at most {most:,} {what} in all: an object this large is not evaluated, so it is denied"
                )
        level = below
    return ""


@rule(
    "network.policies-off",
    "warn",
    field="spec.deployNetworkPolicies",
    message="Without the operator's NetworkPolicies, you must keep the ports open yourself.",
    reason="Forbidden",
    source=_POLICIES,
)
def _policies_off(resource: Resource) -> Violations:
    if value_at(resource.spec, "deployNetworkPolicies") is False:
        message = "is false: if a policy isolates the pods, you must open their ports yourself"
        yield ("spec", "deployNetworkPolicies"), message


@rule(
    "network.reserved-namespace",
    "warn",
    field="metadata.namespace",
    message="An instance should have a namespace of its own, not one that belongs to the cluster.",
    reason="Forbidden",
    source='EEM 11.8, "Installing on Kubernetes"',
)
def _reserved_namespace(resource: Resource) -> Violations:
    namespace = resource.namespace
    if namespace == "default" or namespace.startswith(("kube-", "openshift")):
        message = f"should be a namespace of the instance's own: {shown(namespace)} belongs to the cluster"
        yield ("metadata", "namespace"), message


@rule(
    "network.terminating-namespace",
    "deny",
    field="metadata.namespace",
    message="A namespace that is being deleted must not get new objects.",
    reason="Forbidden",
    source="Kubernetes, NamespaceLifecycle",
    requests=CREATE_ONLY,
    lasting=True,
)
def _terminating_namespace(resource: Resource) -> Violations:
    namespace = resource.context.namespaces.get(resource.namespace)
    is_deleted = value_at(namespace, "metadata", "deletionTimestamp") is not None
    if is_deleted or value_at(namespace, "status", "phase") == "Terminating":
        message = f"must not be {shown(resource.namespace)}, which is being deleted: it accepts no new objects"
        yield ("metadata", "namespace"), message


@rule(
    "network.long-name",
    "warn",
    field="metadata.name",
    message="The name should be short enough for what the operator appends.",
    reason="TooLong",
    source="Kubernetes, Service and StatefulSet names",
)
def _long_name(resource: Resource) -> Violations:
    longest, length = _LONGEST_NAME[resource.kind], len(resource.name)
    if length > longest:
        message = f"should have at most {longest} characters, not {length}"
        yield ("metadata", "name"), f"{message}: the operator appends to it, and Kubernetes limits the result"


@rule(
    "network.dotted-name",
    "warn",
    field="metadata.name",
    message="The name should not have dots.",
    source="Kubernetes, Service names",
)
def _dotted_name(resource: Resource) -> Violations:
    name = resource.name
    if "." in name and is_dns_subdomain(name) and not is_dns_label(name):
        message = f'should not have dots, as "{shown(name)}" has'
        yield ("metadata", "name"), f"{message}: the operator names a Service after it, and those have none"


@rule(
    "structure.api-version",
    "deny",
    field="apiVersion",
    message="The only version of the API is events.ibm.com/v1beta1.",
    reason="NotSupported",
    source="CRD of EEM 11.0.4 to 11.8.1",
)
def _api_version(resource: Resource) -> Violations:
    version = text_at(resource.document, "apiVersion")
    if version not in ("", _API_VERSION):
        yield ("apiVersion",), f'must be {_API_VERSION}, not "{shown(version)}"'


@rule(
    "structure.placeholder",
    "deny",
    field="spec",
    message="Placeholders such as <namespace> must be replaced.",
    source="samples of EEM",
    lasting=True,
)
def placeholders(resource: Resource) -> Violations:
    """Yield every placeholder in the spec."""
    yield from _placeholders_in(resource.spec, ("spec",), is_free=False)


def _placeholders_in(node: object, path: Path, *, is_free: bool) -> Iterator[tuple[Path, str]]:
    """Return every placeholder in *node*; where the text is free, only strings that are nothing else."""
    if isinstance(node, str):
        match = _PLACEHOLDER.fullmatch(node) if is_free else _PLACEHOLDER.search(node)
        if match:
            yield path, f"must have a value in place of {shown(match[0])}"
    elif is_object(node):
        for key, below in node.items():
            name = str(key)
            if "<" in name:
                yield from _placeholders_in(name, (*path, name), is_free=False)
            if _may_have_one(below):
                yield from _placeholders_in(below, (*path, name), is_free=is_free or name in _FREE_TEXT)
    else:
        for position, below in enumerate(list_at(node)):
            if _may_have_one(below):
                yield from _placeholders_in(below, (*path, position), is_free=is_free)


def _may_have_one(node: object) -> bool:
    """Whether it is worth looking into *node*: nearly every value is a string without "<", or no string at all."""
    return "<" in node if isinstance(node, str) else isinstance(node, (list, tuple)) or is_object(node)


@rule(
    "structure.config",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.config",
    message="The field config should not be set.",
    reason="Forbidden",
    source="EEM 11.8 gateway reference",
)
def _config(resource: Resource) -> Violations:
    if text_at(resource.spec, "config"):
        yield ("spec", "config"), "should not be set: it is for the product's own use"
