"""Decoding the request and encoding the answer; a body that is not a review is never allowed."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from builders import ApiObject, Node, block, body, from_, peer, places, port, replaced, request, review, selector
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.reviews import (
    allow,
    answer,
    asked,
    default_deny,
    gateway,
    gateway_pod,
    judged,
    manager,
    manager_pod,
    world,
)
from webhook.admission import (
    AdmissionRequest,
    AdmissionResponse,
    GroupVersionKind,
    GroupVersionResource,
    Options,
    ReviewError,
    decide,
    decode_review,
    encode_review,
)

DENY = default_deny()
ALLOW = allow()
REVIEW = review(DENY)
WORLD = world(
    gateway(), manager(), gateway_pod(), manager_pod(), DENY, ALLOW, allow("ui", to="mgr", ports=(3000, 8081))
)


def refused(wire: bytes) -> ReviewError:
    with pytest.raises(ReviewError) as caught:
        decode_review(wire)
    return caught.value


def without(tree: Node, *path: str) -> Node:
    """Return a copy of *tree* without one field."""
    changed = copy.deepcopy(tree)
    node = changed
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return changed


# What is read


def test_a_review_is_decoded_as_the_api_server_writes_it() -> None:
    """Every field that is evaluated is decoded."""
    wire = review(
        ALLOW,
        DENY,
        uid="u-1",
        username="system:serviceaccount:a:b",
        groups=["x", "y"],
        sub_resource="status",
        dry_run=True,
        name="given",
    )

    assert decode_review(body(wire)) == AdmissionRequest(
        uid="u-1",
        operation="UPDATE",
        kind=GroupVersionKind(group="networking.k8s.io", version="v1", kind="NetworkPolicy"),
        resource=GroupVersionResource(group="networking.k8s.io", version="v1", resource="networkpolicies"),
        sub_resource="status",
        name="given",
        namespace="eem",
        username="system:serviceaccount:a:b",
        groups=("x", "y"),
        object=ALLOW,
        old_object=DENY,
        dry_run=True,
    )


@pytest.mark.parametrize(
    ("new", "old", "operation"),
    [(DENY, None, "CREATE"), (ALLOW, DENY, "UPDATE"), (None, DENY, "DELETE"), (DENY, None, "CONNECT")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_operation_of_the_api_is_decoded(new: ApiObject | None, old: ApiObject | None, operation: str) -> None:
    """Which of them are judged is decided later."""
    assert asked(new, old, operation=operation).operation == operation


@pytest.mark.parametrize(
    "field", ["subResource", "name", "namespace", "userInfo", "object", "oldObject", "dryRun", "options", "requestKind"]
)
@pytest.mark.parametrize("absent", [True, False], ids=["absent", "null"])
def test_optional_fields_may_be_absent_or_null(field: str, absent: bool) -> None:  # noqa: FBT001
    """Go writes one or the other."""
    wire = review(DENY, sub_resource="status")
    if absent:
        wire["request"].pop(field, None)
    else:
        wire["request"][field] = None
    found = decode_review(body(wire))

    assert found.uid == REVIEW["request"]["uid"]
    assert found.name == "default-deny" if field not in {"object", "name"} else found.name in {"default-deny", ""}


@pytest.mark.parametrize("groups", [None, []])
def test_a_user_may_have_no_groups(groups: list[str] | None) -> None:
    """`groups` may be null."""
    assert asked(DENY, userInfo={"username": "u", "groups": groups}).groups == ()


@pytest.mark.parametrize(
    ("new", "old", "name", "expected"),
    [
        pytest.param(DENY, None, "given", "given", id="as the request has it"),
        pytest.param(DENY, None, None, "default-deny", id="from the new object"),
        pytest.param(None, ALLOW, None, "allow-clients", id="from the old one, for a deletecollection"),
        pytest.param(None, ALLOW, "", "allow-clients", id="empty is absent"),
        pytest.param(default_deny(None), None, None, "", id="none yet, for generateName"),
        pytest.param(DENY | {"metadata": None}, None, None, "", id="null metadata"),
        pytest.param(DENY | {"metadata": {"name": 5}}, None, None, "", id="a name that is no text"),
        pytest.param(DENY | {"metadata": "x"}, None, None, "", id="metadata that is no object"),
    ],
)
def test_the_name_comes_from_the_request_or_the_object(
    new: ApiObject | None, old: ApiObject | None, name: str | None, expected: str
) -> None:
    """The request of a deletecollection has no name."""
    subject = new or old or {}
    wire = review(DENY, None)
    wire["request"] |= {"operation": "CREATE" if new else "DELETE", "object": new, "oldObject": old, "name": name}
    if name is None:
        del wire["request"]["name"]
    assert subject
    assert decode_review(body(wire)).name == expected


def test_of_duplicate_keys_the_last_one_counts() -> None:
    """In the envelope and in the object, as in the API server."""
    text = body(REVIEW).decode()
    twice = text.replace('"name": "default-deny"', '"name": "first", "name": "second"')
    found = decode_review(twice.replace('"podSelector": {}', '"podSelector": {"a": 1}, "podSelector": {}').encode())

    assert (found.name, found.object) == ("second", DENY | {"metadata": DENY["metadata"] | {"name": "second"}})


def test_fields_of_a_policy_that_are_not_evaluated_are_skipped() -> None:
    """Managed fields are most of a review. The other fields are as they were written, null and missing apart."""
    looked_at = {
        "name": "deny",
        "namespace": "eem",
        "uid": "u",
        "resourceVersion": "7",
        "deletionTimestamp": None,
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "ownerReferences": [],
    }
    spec = {"podSelector": {}, "unknown": [1]}
    metadata = looked_at | {"managedFields": [{}], "generation": 3}
    written = DENY | {"metadata": metadata, "spec": spec, "status": {}}

    assert asked(written).object == DENY | {"metadata": looked_at, "spec": spec}


@pytest.mark.parametrize("metadata", [None, [], "text"])
def test_metadata_of_another_type_is_kept_as_it_is(metadata: object) -> None:
    """The decision reports it, with its field."""
    wire = review(DENY)
    wire["request"]["object"] = DENY | {"metadata": metadata}

    assert decode_review(body(wire)).object == DENY | {"metadata": metadata}


def test_an_object_of_another_kind_is_decoded_completely() -> None:
    """The rules for EEM resources evaluate all of it."""
    written = gateway() | {"metadata": {"name": "gw", "managedFields": [{}]}, "status": {"phase": "Running"}}

    assert asked(written).object == written


def test_unknown_fields_of_a_review_are_ignored() -> None:
    """Later versions of the API may add fields."""
    wire = REVIEW | {"future": [1], "request": REVIEW["request"] | {"future": {"a": None}}}

    assert decode_review(body(wire)) == asked(DENY)


# What cannot be read


WHOLE = body(REVIEW)


@pytest.mark.parametrize(
    ("wire", "path", "problem"),
    [
        pytest.param(b"", "body", "is empty", id="empty"),
        pytest.param(b" \r\n\t", "body", "is empty", id="white space"),
        pytest.param(b"null", "body", "got `null`", id="null"),
        pytest.param(b"[]", "body", "got `array`", id="a list"),
        pytest.param(b"5", "body", "got `int`", id="a number"),
        pytest.param(b'"x"', "body", "got `str`", id="a text"),
        pytest.param(b"{}", "body", "apiVersion", id="an empty object"),
        pytest.param(b"hello", "body", "not JSON", id="not JSON"),
        pytest.param(b"apiVersion: admission.k8s.io/v1", "body", "not JSON", id="YAML"),
        pytest.param(b"\x80\x04", "body", "not JSON", id="protobuf or worse"),
        pytest.param(b"\xef\xbb\xbf" + WHOLE, "body", "not JSON", id="a byte order mark"),
        pytest.param(WHOLE.decode().encode("utf-16"), "body", "not JSON", id="UTF-16"),
        pytest.param(WHOLE + b"x", "body", "not JSON", id="something behind it"),
        pytest.param(WHOLE + WHOLE, "body", "not JSON", id="two of them"),
        pytest.param(WHOLE.replace(b'"alice"', b'"\xff"'), "body", "not JSON", id="no UTF-8"),
        pytest.param(WHOLE.replace(b'"alice"', b'"\\ud800"'), "body", "not JSON", id="a lone surrogate"),
        pytest.param(WHOLE.replace(b'"alice"', b'"\\ud800x"'), "body", "not JSON", id="half a surrogate pair"),
        pytest.param(WHOLE.replace(b'"alice"', b'"\x01"'), "body", "not JSON", id="a bare control character"),
        pytest.param(WHOLE.replace(b"false", b"NaN"), "body", "not JSON", id="NaN"),
        pytest.param(WHOLE.replace(b"false", b"Infinity"), "body", "not JSON", id="infinity"),
        pytest.param(WHOLE.replace(b"false", b"-Infinity"), "body", "not JSON", id="negative infinity"),
        pytest.param(
            WHOLE.replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"), "apiVersion", "v1beta1", id="v1beta1"
        ),
        pytest.param(
            WHOLE.replace(b"AdmissionReview", b"AdmissionReviews"), "kind", "AdmissionReview", id="another kind"
        ),
        pytest.param(body(REVIEW | {"request": None}), "request", "must be set", id="null request"),
        pytest.param(body(without(REVIEW, "request")), "request", "must be set", id="no request"),
        pytest.param(body(without(REVIEW, "request", "uid")), "request", "uid", id="no uid"),
        pytest.param(body(review(DENY, uid="")), "request.uid", "must be set", id="an empty uid"),
        pytest.param(body(without(REVIEW, "request", "operation")), "request", "operation", id="no operation"),
        pytest.param(body(review(DENY, operation="create")), "request.operation", "create", id="another operation"),
        pytest.param(body(review(DENY, operation="")), "request.operation", "operation", id="an empty operation"),
        pytest.param(body(without(REVIEW, "request", "resource")), "request", "resource", id="no resource"),
        pytest.param(body(review(DENY, object=[])), "request.object", "array", id="an object that is a list"),
        pytest.param(body(review(DENY, dryRun="no")), "request.dryRun", "str", id="a dry run that is text"),
        pytest.param(
            body(review(DENY, userInfo={"username": 5})),
            "request.userInfo.username",
            "int",
            id="a user that is a number",
        ),
        pytest.param(
            body(review(DENY, userInfo={"groups": [1]})), "request.userInfo.groups[0]", "int", id="a group that is one"
        ),
    ],
)
def test_a_body_that_is_not_a_review_raises_an_error_with_its_field(wire: bytes, path: str, problem: str) -> None:
    """This is no verdict: the API server applies its failurePolicy."""
    error = refused(wire)

    assert (error.path, error.status) == (path, 400)
    assert problem in error.problem
    assert str(error) == f"{error.path}: {error.problem}"


@pytest.mark.parametrize("length", range(1, len(WHOLE), 7))
def test_a_truncated_review_raises_an_error(length: int) -> None:
    """No prefix of a review is a review."""
    assert refused(WHOLE[:length]).status == 400


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize("place", ['"spec": {"x":', '"extra": {"x":', '"options": {"x":'])
@pytest.mark.parametrize("depth", [10_000, 300_000])
def test_an_extreme_depth_raises_an_error(depth: int, place: str, pair: tuple[str, str]) -> None:
    """Ten thousand levels do not crash the process, and are not allowed."""
    deep = pair[0] * depth + "1" + pair[1] * depth
    wire = f'{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", {place} {deep}}}}}'

    assert refused(wire.encode()).problem == "is nested too deeply"


def further_in(calls: int, then: Callable[[], str]) -> str:
    """Call *then* at a greater depth of calls, as a server does that decodes and decides at different depths."""
    return further_in(calls - 1, then) if calls else then()


def test_every_depth_is_either_an_error_or_decided() -> None:
    """A depth that can be decoded but not compared is judged, and not exempt."""
    results = set()
    for depth in range(700, 1050):
        spec = '{"ingress": ' + "[" * depth + "]" * depth + "}"
        text = body(review(ALLOW | {"spec": "SPEC"}, ALLOW | {"spec": "SPEC"})).decode()
        try:
            found = decode_review(text.replace('"SPEC"', spec).encode())
        except ReviewError as error:
            results.add(error.problem)
        else:
            results.add(further_in(20, lambda found=found: decide(found, WORLD, Options()).result))

    assert "is nested too deeply" in results
    assert results <= {"is nested too deeply", "exempt", "denied", "warned", "allowed"}


@pytest.mark.parametrize("digits", [20, 400])
def test_huge_integers_are_not_ports(digits: int) -> None:
    """Python can hold them, an API object cannot."""
    text = body(review(allow(ports=(4711,)))).decode().replace("4711", "1" * digits)
    response = decide(decode_review(text.encode()), WORLD, Options())

    assert (response.code, response.causes[0].field) == (422, "spec.ingress[0].ports[0].port")


def test_integers_that_python_cannot_convert_raise_an_error() -> None:
    """They have more than 4,300 digits. The spec of a policy is decoded when it is read."""
    text = body(review(allow(ports=(4711,)))).decode().replace("4711", "1" * 5000)
    with pytest.raises(ReviewError) as caught:
        decode_review(text.encode()).parse_policies()

    assert "out of range" in caught.value.problem
    assert (
        "out of range"
        in refused(text.replace("networkpolicies", "others").replace("NetworkPolicy", "x").encode()).problem
    )


def test_a_name_that_cannot_be_printed_is_shown_escaped() -> None:
    """The message does not contain the control characters."""
    error = refused(body(REVIEW | {"apiVersion": "v1\x1b[31m" + "x" * 500}))

    assert "\x1b" not in error.problem
    assert len(error.problem) < 200


# Every field replaced by every JSON type


JSON_VALUES: list[Any] = [None, True, 5, -0.5, "x", "", [], ["x"], {}, {"x": 1}, 2**70, [None]]

CREATION = review(default_deny("second", labels={"a": "b"}, annotations={"c": "d"}))
NARROWED = allow(
    "allow-clients",
    peer(pods=selector(app="client"), namespaces={}),
    block("10.0.0.0/8", "10.1.0.0/16"),
)
UPDATE = review(NARROWED, ALLOW)
DELETION = review(None, ALLOW)
PERMITTED = review(allow("third", peer(pods={})), None)


def outcome(wire: bytes) -> AdmissionResponse | None:
    """Return the decision about a review; None if it is not a review."""
    try:
        found = decode_review(wire)
        response = decide(found, WITHOUT_ALLOWS if b'"second"' in wire else WORLD, Options())
    except ReviewError:
        return None
    answered = answer(found, response)["response"]
    assert (answered["uid"], answered["allowed"]) == (found.uid, response.allowed)
    return response


WITHOUT_ALLOWS = world(gateway(), manager())
"""Where a default deny takes everything away."""


@pytest.mark.parametrize(
    "whole", [CREATION, UPDATE, DELETION, PERMITTED], ids=["a creation", "an update", "a deletion", "an allow"]
)
def test_a_wrong_type_at_any_field_is_an_error_or_decided(whole: Node) -> None:
    """Each node of a review in turn becomes each JSON value: no exception but a ReviewError is raised."""
    decided = 0
    for path in places(whole):
        for value in JSON_VALUES:
            decided += outcome(body(replaced(whole, path, value))) is not None

    assert decided > 0


MEANS_ANOTHER_CHANGE = {
    ("request", "namespace"): "another namespace",
    ("request", "operation"): "another operation",
    ("request", "subResource"): "a status update",
    ("request", "userInfo", "username"): "another user",
}


def test_no_wrong_type_turns_a_refusal_into_an_allow() -> None:
    """A default deny stays refused if one of its fields has a wrong type, except fields that identify the request."""
    first = outcome(body(CREATION))
    assert first is not None
    assert not first.allowed
    allowed = [
        (path, value)
        for path in places(CREATION)
        for value in JSON_VALUES
        if (response := outcome(body(replaced(CREATION, path, value)))) is not None and response.allowed
    ]
    surprising = [
        (path, value)
        for path, value in allowed
        if path not in MEANS_ANOTHER_CHANGE
        and not (path[-1] == "podSelector" and value == {"x": 1})
        and path != ("request", "object", "spec", "policyTypes")
    ]

    assert surprising == []


def test_an_old_object_that_cannot_be_parsed_is_a_warning() -> None:
    """It is not known what its deletion takes away."""
    silent = [
        (path, value)
        for whole in (UPDATE, DELETION)
        for path in places(whole)
        if set(path[1:2]) & {"object", "oldObject"}
        for value in JSON_VALUES
        if type(value) is not type(at(whole, path)) and value is not None
        if (response := outcome(body(replaced(whole, path, value)))) is not None
        if response.allowed and not response.warnings
    ]

    assert silent == []


def at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(spec=JSON_TREES, old=JSON_TREES)
def test_any_json_in_the_place_of_an_object_gets_an_answer(spec: Any, old: Any) -> None:
    """The answer is an error or a decision, which `outcome` compares with the request."""
    outcome(body(review(ALLOW | {"spec": spec}, ALLOW | {"spec": old})))
    outcome(body(review(ALLOW, ALLOW, object=spec, oldObject=old)))


@settings(max_examples=300, deadline=None)
@given(wire=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_get_an_answer(wire: bytes) -> None:
    """Clients other than the API server can connect."""
    assert outcome(wire) is None


# What is written


def test_the_answer_to_an_allowed_change() -> None:
    """The complete AdmissionReview."""
    found = asked(ALLOW, uid="u-1")

    assert answer(found, judged(world(gateway()), ALLOW)) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u-1", "allowed": True},
    }


def test_a_refusal_is_a_status_of_403_with_causes() -> None:
    """The complete AdmissionReview."""
    found = asked(DENY, uid="u-1")
    response = decide(found, world(gateway(), gateway_pod("gw-ibm-egw-gateway-0")), Options())
    loss = (
        "EventGateway eem/gw: gateway TCP/8092 of pod gw-ibm-egw-gateway-0 could not be reached from any pod, for "
        "example a pod without labels in namespace eem, isolated by eem/default-deny"
    )
    message = (
        f"creating NetworkPolicy eem/default-deny would cut off required ingress: {loss}. First apply a NetworkPolicy "
        "that allows ingress on TCP/8092 without `from` to pods with app.kubernetes.io/instance=gw, "
        "app.kubernetes.io/name=ibm-event-endpoint-management. Or set spec.deployNetworkPolicies: false on "
        "EventGateway gw: then you must open these ports yourself."
    )

    assert answer(found, response) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": "u-1",
            "allowed": False,
            "status": {
                "status": "Failure",
                "code": 403,
                "reason": "Forbidden",
                "message": message,
                "details": {
                    "name": "default-deny",
                    "group": "networking.k8s.io",
                    "kind": "networkpolicies",
                    "causes": [{"reason": "RequiredIngressLost", "message": loss, "field": "gateway:TCP/8092"}],
                },
            },
            "auditAnnotations": {"denied": message},
        },
    }


def test_an_object_that_cannot_be_understood_is_a_status_of_422() -> None:
    """The complete AdmissionReview."""
    found = asked(default_deny(ingress=[from_(ports=[port(0)])]), uid="u-1")
    problem = "must be between 1 and 65535, not the number 0"
    message = f"NetworkPolicy eem/default-deny is not valid: spec.ingress[0].ports[0].port: {problem}"

    assert answer(found, decide(found, world(gateway()), Options()))["response"] == {
        "uid": "u-1",
        "allowed": False,
        "status": {
            "status": "Failure",
            "code": 422,
            "reason": "Invalid",
            "message": message,
            "details": {
                "name": "default-deny",
                "group": "networking.k8s.io",
                "kind": "NetworkPolicy",
                "causes": [
                    {"reason": "FieldValueInvalid", "message": problem, "field": "spec.ingress[0].ports[0].port"}
                ],
            },
        },
        "auditAnnotations": {"denied": message},
    }


def test_the_answer_to_an_allowed_change_with_a_warning() -> None:
    """The complete AdmissionReview."""
    found = asked(default_deny("second"), uid="u-1")
    text = "eem/gw gateway TCP/8092 was not open as required and still is not (isolated by eem/default-deny)"

    assert answer(found, decide(found, world(gateway(), DENY), Options()))["response"] == {
        "uid": "u-1",
        "allowed": True,
        "warnings": [text],
    }


def test_an_exemption_is_named_in_the_audit_annotations() -> None:
    """The complete AdmissionReview."""
    found = asked(ALLOW, ALLOW, uid="u-1")

    assert answer(found, decide(found, WORLD, Options()))["response"] == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {"exempt": "spec-unchanged"},
    }


@pytest.mark.parametrize("uid", ["705ab4f5-6393-11e8-b7cc-42010a800002", "x", "ü-\u202e", '"}', "\x01"])
def test_the_uid_is_echoed_exactly(uid: str) -> None:
    """The API server rejects an answer with another uid."""
    found = asked(DENY, uid=uid)

    assert answer(found, judged(WORLD, DENY))["response"]["uid"] == uid


def test_an_answer_never_has_a_patch_or_the_request() -> None:
    """A patch from a validating webhook fails the call."""
    wire = json.loads(encode_review(asked(DENY), judged(world(gateway()), DENY)))

    assert set(wire) == {"apiVersion", "kind", "response"}
    assert set(wire["response"]) == {"uid", "allowed", "status", "auditAnnotations"}


def test_the_builder_makes_requests_like_the_api_server() -> None:
    """The builder of these tests writes what the API server writes."""
    assert set(request(DENY)) >= {"uid", "kind", "resource", "operation", "userInfo", "object", "oldObject"}
