"""
What a review asks: the request, and for a NetworkPolicy the policies before and after the change.

A policy is parsed when it is first needed and kept with its request, so it is parsed once, however often the request is
judged.

Source: k8s.io/api/admission/v1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webhook.admission.written_spec import NOT_JSON, WrittenSpec, worked_out_once
from webhook.eem.resources import NETWORK_POLICIES
from webhook.netpol.faults import Fault
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy
from webhook.netpol.reading import shorten

BAD_REQUEST = 400

Policies = Mapping[str, NetworkPolicy]
"""The policies of one namespace by name."""

ParsedPolicy = tuple[NetworkPolicy, tuple[Fault, ...]]
"""A policy as far as it can be read, and what is wrong with the object."""


class ReviewError(ValueError):
    """
    Raised when a request cannot be read as a review. That is no verdict: the API server applies its failurePolicy.

    Args:
        path: field of the review, such as `request.uid`.
        problem: what is wrong there.
        status: the HTTP status of the answer: 400, 413 or 415.
    """

    def __init__(self, path: str, problem: str, status: int = BAD_REQUEST) -> None:
        self.path = path
        self.problem = problem
        self.status = status
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupVersionKind:
    """The kind of an object. Source: metav1.GroupVersionKind."""

    group: str
    version: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupVersionResource:
    """The collection of an object. Source: metav1.GroupVersionResource."""

    group: str
    version: str
    resource: str


@dataclass(frozen=True, kw_only=True)
class AdmissionRequest:
    """
    One change that a user asks for.

    Args:
        name: empty for a CREATE with generateName; for a deletecollection it is taken from the old object.
        object: the object after the change; None for DELETE. A NetworkPolicy has only the fields that are evaluated:
            `spec`, a WrittenSpec if it was decoded from bytes, and the fields of `metadata` that WirePolicyMetadata
            lists.
        old_object: the object before the change; None for CREATE.
        size: bytes of the review; 0 if it was not decoded from bytes.
    """

    uid: str
    operation: str
    kind: GroupVersionKind
    resource: GroupVersionResource
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    username: str = ""
    groups: tuple[str, ...] = ()
    user_uid: str = ""
    user_extra: Mapping[str, Sequence[str]] = field(default_factory=dict)
    object: Mapping[str, Any] | None = None
    old_object: Mapping[str, Any] | None = None
    dry_run: bool = False
    size: int = field(default=0, compare=False)

    @property
    def is_policy(self) -> bool:
        """Whether the request is about a NetworkPolicy."""
        return (self.resource.group, self.resource.resource) == (NETWORK_POLICIES.group, NETWORK_POLICIES.plural)

    @worked_out_once
    def new_policy(self) -> ParsedPolicy | None:
        """Parse `object` as a NetworkPolicy; None for DELETE."""
        if self.object is None or self.operation == "DELETE":
            return None
        return _read(self.object, self.namespace)

    @worked_out_once
    def old_policy(self) -> ParsedPolicy | None:
        """Parse `oldObject` as a NetworkPolicy; None for CREATE, and where the request does not have it."""
        if self.old_object is None or self.operation == "CREATE":
            return None
        return _read(self.old_object, self.namespace)

    def parse_policies(self) -> None:
        """
        Parse both policies now; do nothing for another kind.

        A policy of a megabyte takes some 200 ms, so a large review is parsed in a thread. This function only reads the
        request.
        """
        if self.is_policy:
            _ = self.new_policy, self.old_policy

    @worked_out_once
    def leaves_spec_unchanged(self) -> bool:
        """Whether an UPDATE leaves `spec` as it is; null and missing are the same."""
        if self.operation != "UPDATE":
            return False
        old, new = (self.old_object or {}).get("spec"), (self.object or {}).get("spec")
        if isinstance(old, WrittenSpec) and isinstance(new, WrittenSpec):
            # The API server wrote both with one encoder. A spec that is only written in another way is judged.
            return old.text == new.text
        try:
            return (old or {}) == (new or {})
        except RecursionError:  # the decoder can read a depth that cannot be compared at a greater depth of calls
            return False


def _read(api_object: Mapping[str, Any], namespace: str) -> ParsedPolicy:
    """
    Read the policy of a request: with typed decoding, or path by path if that finds something to say.

    Raises:
        ReviewError: its spec is not JSON.
    """
    written = api_object.get("spec")
    try:
        meaning = written.meaning(namespace) if namespace and isinstance(written, WrittenSpec) else None
        return read_policy(api_object, namespace, meaning)
    except NOT_JSON as error:
        raise ReviewError("body", f"is not JSON in UTF-8: {shorten(str(error), 200)}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyReview:
    """
    A review of a NetworkPolicy: the request and its policies.

    Args:
        name: the policy's name; empty where the API server has yet to generate it.
        cached: the old policy as the cache has it, if that is the version in the request; None otherwise.
    """

    request: AdmissionRequest
    name: str
    cached: NetworkPolicy | None

    @classmethod
    def of(cls, request: AdmissionRequest, policies: Policies) -> "PolicyReview":
        """
        Return the review of a request.

        Args:
            request: about a NetworkPolicy.
            policies: the policies of its namespace as they are known.

        Raises:
            ReviewError: the request is about something else, or does not have the object that its operation needs.
        """
        check_policy_request(request)
        name = request.name or metadata_text(request.object or request.old_object, "name")
        known, old = policy_named(name, policies), request.old_object
        same = known is not None and old is not None and is_version_of(known, old)
        return cls(request=request, name=name, cached=known if same else None)

    @property
    def new(self) -> NetworkPolicy | None:
        """Return the policy after the change; None for DELETE."""
        parsed = self.request.new_policy
        return None if parsed is None else parsed[0]

    def old_in(self, policies: Policies) -> NetworkPolicy | None:
        """
        Return the policy before the change: as the request has it, else as *policies* have it.

        A DELETE comes without its old object from API servers before 1.15.
        """
        if self.request.operation == "CREATE":
            return None
        if self.cached is not None:
            return self.cached
        if self.request.old_policy is not None:
            return self.request.old_policy[0]
        return policy_named(self.name, policies)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong with the new object and was not wrong with the old one."""
        new = self.request.new_policy
        if new is None or not new[1]:
            return ()
        old = self.request.old_policy if self.cached is None else None
        known = frozenset(() if old is None else old[1])
        return tuple(fault for fault in new[1] if fault not in known)


def policy_named(name: str, policies: Policies) -> NetworkPolicy | None:
    """
    Return the policy of that name; None if there is none.

    The callers treat None as a deletion, so a look-up that returns None by mistake must not be possible.
    """
    return policies[name] if name in policies else None  # noqa: SIM401  see above


def check_policy_request(request: AdmissionRequest) -> None:
    """
    Check that a request is about a NetworkPolicy and has what its operation needs.

    Raises:
        ReviewError: it is not, or does not.
    """
    if not request.is_policy:
        raise ReviewError("request.resource", "must be networkpolicies of networking.k8s.io")
    if request.operation == "CONNECT":
        raise ReviewError("request.operation", "must be CREATE, UPDATE or DELETE")
    if not request.namespace:
        raise ReviewError("request.namespace", "must be set")
    if request.operation != "CREATE" and not (request.name or metadata_text(request.old_object, "name")):
        raise ReviewError("request.name", f"must be set for {request.operation}, unless the old object has a name")
    check_objects(request)


def check_objects(request: AdmissionRequest) -> None:
    """
    Check that a request has the objects that its operation needs.

    Raises:
        ReviewError: one is missing.
    """
    if request.operation in {"CREATE", "UPDATE"} and request.object is None:
        raise ReviewError("request.object", f"must be set for {request.operation}")
    if request.operation == "UPDATE" and request.old_object is None:
        raise ReviewError("request.oldObject", "must be set for UPDATE")


def is_version_of(policy: NetworkPolicy, api_object: Mapping[str, Any]) -> bool:
    """Whether *policy* was parsed from this version of the object, so that it need not be parsed again."""
    version = metadata_text(api_object, "resourceVersion")
    same = version == policy.resource_version and metadata_text(api_object, "uid") == policy.uid
    return same and bool(version) and not policy.faulty


def metadata_text(api_object: Mapping[str, Any] | None, key: str) -> str:
    """Return one text of an object's metadata; empty where there is none."""
    metadata = (api_object or {}).get("metadata")
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""
