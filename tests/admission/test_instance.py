"""The EEM webhooks: rules, exemptions, warnings about closed ports, and defaults."""

import base64
import json
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    MANAGER_KIND,
    ApiObject,
    Node,
    eem_labels,
    from_,
    instance,
    namespace,
    operator_deployment,
    owned_by,
    policy,
    port,
    selector,
)

from admission.reviews import allow, asked, default_deny, gateway_pod, installed_for
from webhook.admission import (
    AdmissionRequest,
    AdmissionResponse,
    Options,
    ReviewError,
    default,
    encode_review,
    validate,
)
from webhook.admission.instance import version_of
from webhook.admission.response import LONGEST_MESSAGE, LONGEST_WARNING
from webhook.eem import EemSnapshot
from webhook.eem.rules import NEWEST, ProductVersion
from webhook.eem.rules.object_rules import MOST_VALUES

LICENCE = {
    "accept": True,
    "license": "L-CYBH-K48BZQ",
    "metric": "VIRTUAL_PROCESSOR_CORE",
    "use": "EventAutomationNonProduction",
}
OPERATOR = "system:serviceaccount:eem:ibm-eem-operator"


def gateway(name: str = "gw", *, spec: Node | None = None, **fields: Any) -> ApiObject:
    """Return a gateway that no rule objects to."""
    whole = {
        "license": LICENCE,
        "gatewayGroupName": "group",
        "gatewayID": name,
        "manager": {"endpoint": "https://eem.example.com/gateway"},
        "listeners": [
            {"name": "external", "port": 8092, "groups": [{"name": "g", "endpoint": {"host": "kafka.example.com"}}]}
        ],
    }
    return instance(name, kind=GATEWAY_KIND, spec={**whole, **(spec or {})}, **fields)


def world(*objects: ApiObject) -> EemSnapshot:
    return EemSnapshot.from_objects([namespace("eem"), *objects])


def judged(
    snapshot: EemSnapshot,
    new: ApiObject | None = None,
    old: ApiObject | None = None,
    options: Options | None = None,
    **fields: Any,
) -> AdmissionResponse:
    return validate(asked(new, old, **fields), snapshot, options or Options())


def without(api_object: ApiObject, *fields: str) -> ApiObject:
    """Return an instance without some fields of its spec."""
    spec = {key: value for key, value in api_object["spec"].items() if key not in fields}
    return api_object | {"spec": spec}


def test_a_valid_instance_is_allowed_without_a_warning() -> None:
    """No rule objects to it."""
    found = judged(world(), gateway())

    assert (True, (), "allowed") == (found.allowed, found.warnings, found.result)


def test_every_denial_is_in_one_answer_with_its_field() -> None:
    """422, Invalid, with one cause for each fault, as in the API server's own ErrorList."""
    bad = gateway(spec={"license": LICENCE | {"accept": False}, "replicas": -1, "gatewayID": 5})

    found = judged(world(), bad)

    assert (False, 422, "Invalid") == (found.allowed, found.code, found.reason)
    assert {"spec.license.accept", "spec.replicas", "spec.gatewayID"} <= {cause.field for cause in found.causes}
    assert found.message.startswith("EventGateway eem/gw is not valid: ")
    assert found.verdict is not None
    assert all(fault.rule for fault in found.verdict.faults)


def test_a_hundred_faults_fit_one_message() -> None:
    """The paragraph has its length and counts the faults that it leaves out; the causes have all of them."""
    trusted = [{"secretName": "Not A Name!", "certificate": "/"} for _ in range(60)]

    found = judged(world(), gateway(spec={"tls": {"trustedCertificates": trusted}}))

    assert len(found.message) <= LONGEST_MESSAGE
    assert " more" in found.message
    assert len(found.causes) > 60


def test_warnings_are_single_short_lines() -> None:
    """A doubtful object is allowed, with lines that the API server does not drop."""
    found = judged(world(), gateway(spec={"maxNumKafkaBrokers": 20, "managerEndpoint": "https://eem.example.com"}))

    assert (True, "warned") == (found.allowed, found.result)
    assert all(len(text) <= LONGEST_WARNING and text.isprintable() for text in found.warnings)


def test_an_update_is_denied_only_for_new_faults() -> None:
    """A fault of the old object does not refuse its repair, nor another change."""
    old = gateway(spec={"license": LICENCE | {"accept": False}})
    new = gateway(spec={"license": LICENCE | {"accept": False}, "gatewayContact": "jane@example.com"})

    found = judged(world(old), new, old)

    assert found.allowed
    assert any("as before" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("request_fields", "new", "old"),
    [
        pytest.param({"username": OPERATOR}, gateway(spec={"replicas": -1}), None, id="the operator's own write"),
        pytest.param({"sub_resource": "status"}, gateway(spec={"replicas": -1}), gateway(), id="a status update"),
        pytest.param({}, None, gateway(spec={"replicas": -1}), id="a deletion"),
        pytest.param({}, gateway(spec={"replicas": -1}, terminating=True), gateway(), id="an instance that is going"),
        pytest.param(
            {},
            gateway(spec={"replicas": -1}, labels={"a": "b"}),
            gateway(spec={"replicas": -1}),
            id="a change of metadata alone",
        ),
    ],
)
def test_exempt_requests_are_never_denied(request_fields: Node, new: ApiObject | None, old: ApiObject | None) -> None:
    """They are allowed, whatever the object has."""
    found = judged(installed_for(world(gateway(), operator_deployment()), "eem"), new, old, **request_fields)

    assert found.allowed


def test_another_kind_of_the_group_is_allowed() -> None:
    """Other products have kinds in the group as well."""
    other = {"group": "events.ibm.com", "version": "v1beta1", "kind": "EventProcessing"}
    change = {"kind": other, "resource": {"group": "events.ibm.com", "version": "v1beta1", "resource": "x"}}

    found = judged(world(), gateway(spec={"replicas": -1}), **change)

    assert (True, "allowed") == (found.allowed, found.result)


def kind_of(group: str = "events.ibm.com", version: str = "v1beta1", kind: str = GATEWAY_KIND) -> Node:
    return {
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": "eventgateways"},
    }


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        pytest.param(kind_of(version="v1alpha1"), "request.kind.version", id="a version that is not served"),
        pytest.param(kind_of(group="apps"), "request.kind.group", id="another group"),
        pytest.param(kind_of(kind="EventGatewayList"), "request.kind.kind", id="a list"),
        pytest.param({"operation": "CONNECT"}, "request.operation", id="another operation"),
        pytest.param({"object": None}, "request.object", id="no object"),
        pytest.param({"operation": "UPDATE"}, "request.oldObject", id="no old object"),
    ],
)
@pytest.mark.parametrize("judge", [validate, default])
def test_a_review_of_another_resource_raises_an_error(judge: Any, fields: Node, path: str) -> None:
    """The server answers it with HTTP 400, which is no verdict."""
    request = asked(gateway(), **fields)

    with pytest.raises(ReviewError) as refused:
        judge(request, world(), Options())

    assert (400, path) == (refused.value.status, refused.value.path)


@pytest.mark.parametrize(
    ("mode", "expected"), [("warn", (True, "warned")), ("audit", (True, "audited")), ("enforce", (False, "denied"))]
)
def test_the_mode_turns_a_denial_into_its_result(mode: Any, expected: tuple[bool, str]) -> None:
    """The modes are those of NetworkPolicies."""
    found = judged(world(), gateway(spec={"replicas": -1}), options=Options(mode=mode))

    assert expected == (found.allowed, found.result)


def test_a_rule_can_be_turned_off() -> None:
    """Each rule has its severity, by its id."""
    bad = gateway(spec={"license": LICENCE | {"accept": False}})

    found = judged(world(), bad, options=Options(severities={"licence.not-accepted": "off"}))

    assert found.allowed


# The version


@pytest.mark.parametrize(
    ("label", "options", "expected"),
    [
        pytest.param("11.4.0", Options(), "11.4.0", id="the operator's Deployment tells"),
        pytest.param(
            "11.4.0", Options(installed_version=ProductVersion.parse("11.8.0")), "11.4.0", id="and beats the rest"
        ),
        pytest.param(
            "none",
            Options(installed_version=ProductVersion.parse("11.6.0"), eem_version=ProductVersion.parse("11.2.0")),
            "11.6.0",
            id="else the definitions tell",
        ),
        pytest.param("none", Options(eem_version=ProductVersion.parse("11.2.0")), "11.2.0", id="else it is set"),
        pytest.param("none", Options(), str(NEWEST), id="else it is the newest"),
    ],
)
def test_the_rules_are_those_of_the_operators_version(label: str, options: Options, expected: str) -> None:
    """Then the installed definitions count, and then the setting."""
    deployment = operator_deployment()
    deployment["metadata"]["labels"] = {"app.kubernetes.io/version": label}

    assert expected == str(version_of("eem", world(deployment), options))


@pytest.mark.parametrize(
    ("noted", "offline", "expected"),
    [
        pytest.param([], False, str(NEWEST), id="only labels"),
        pytest.param(["operators"], False, "11.4.0", id="EEM was installed from there"),
        pytest.param([], True, "11.4.0", id="offline, where the state is the user's own"),
    ],
)
def test_the_version_label_of_another_namespace_counts_only_for_an_operator(
    noted: list[str],
    offline: bool,  # noqa: FBT001
    expected: str,
) -> None:
    """Users who may create Deployments somewhere cannot choose the rules elsewhere."""
    deployment = operator_deployment(namespace="operators")
    deployment["metadata"]["labels"] = {"app.kubernetes.io/version": "11.4.0"}
    snapshot = installed_for(world(deployment), *noted)

    assert expected == str(version_of("eem", snapshot, Options(offline=offline)))


# The network


def clean(response: AdmissionResponse) -> list[str]:
    """Return only the warnings about ports."""
    return [text for text in response.warnings if "TCP/" in text]


GATEWAY_OF_ITS_OWN = gateway(spec={"deployNetworkPolicies": False})


@pytest.mark.parametrize(
    ("created", "warnings"),
    [
        (gateway(), []),
        (gateway(spec={"deployNetworkPolicies": True}), []),
        (GATEWAY_OF_ITS_OWN, ["TCP/8092 of its pods will need a policy that you write: isolated by default-deny"]),
    ],
    ids=["by default", "true", "false"],
)
def test_creating_an_instance_is_a_warning_where_the_operator_makes_no_policy(
    created: ApiObject, warnings: list[str]
) -> None:
    """Row 11: the operator makes the policy that opens the port; the warning names the port and the policy."""
    found = judged(world(default_deny()), created)

    assert found.allowed
    assert warnings == clean(found)


def test_an_instance_that_is_too_large_is_denied_without_evaluation() -> None:
    """It is refused for its size alone, and its ports are not looked at."""
    found = judged(world(default_deny()), gateway(spec={"pod": [{"a": number} for number in range(MOST_VALUES)]}))

    assert [cause.field for cause in found.causes] == ["spec"]
    assert (found.allowed, found.warnings) == (False, ())


@pytest.mark.parametrize("other", [gateway("other"), instance("gw")], ids=["another name", "a manager of its name"])
def test_only_ports_of_the_instance_itself_are_warned_about(other: ApiObject) -> None:
    """Ports of another instance in the namespace are not mentioned."""
    found = judged(world(other, default_deny()), GATEWAY_OF_ITS_OWN)

    assert ["TCP/8092 of its pods will need a policy that you write: isolated by default-deny"] == clean(found)


def test_a_terminating_instance_gets_no_warning_about_ports() -> None:
    """It needs no ingress any more."""
    found = judged(world(default_deny()), gateway(terminating=True))

    assert [] == clean(found)


def test_creating_an_instance_whose_ports_are_allowed_is_no_warning() -> None:
    """A user who applies the allows first gets no warning."""
    open_all = policy("open", ingress=[from_()])

    found = judged(world(default_deny(), open_all), gateway())

    assert [] == clean(found)


def test_turning_deploy_network_policies_off_warns_about_the_ports_of_the_operators_policies() -> None:
    """The operator deletes its policies, and the ports that only they allow will be closed."""
    old = gateway()
    own = allow("gw-own", to="gw", owners=[owned_by(old)])
    off = gateway(deploy_network_policies=False)
    snapshot = world(old, gateway_pod(), default_deny(), own)

    found = judged(snapshot, off, old)

    assert found.allowed
    assert clean(found) == [
        "TCP/8092 of gw-ibm-egw-gateway-7f9c-x2x will need a policy that you write: isolated by default-deny"
    ]


def test_turning_deploy_network_policies_off_is_no_warning_if_another_policy_allows_the_ports() -> None:
    """The policy of another owner stays."""
    old = gateway()
    snapshot = world(old, gateway_pod(), default_deny(), allow("theirs", to="gw"))

    assert [] == clean(judged(snapshot, gateway(deploy_network_policies=False), old))


def test_turning_deploy_network_policies_on_warns_about_ports_that_are_closed() -> None:
    """They are closed until the operator creates its policies."""
    old = gateway(deploy_network_policies=False)

    found = judged(world(old, gateway_pod(), default_deny()), gateway(), old)

    assert "is closed until the operator acts: isolated by default-deny" in clean(found)[0]


def test_moving_a_listener_to_a_port_that_is_not_allowed_is_a_warning() -> None:
    """The policies allow the old port."""
    old = gateway()
    listeners = [{"name": "external", "port": 9092, "groups": old["spec"]["listeners"][0]["groups"]}]
    snapshot = world(old, gateway_pod(), default_deny(), allow("theirs", to="gw"))

    found = judged(snapshot, gateway(spec={"listeners": listeners}), old)

    assert len(clean(found)) == 1
    assert clean(found)[0].startswith("TCP/9092 of ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, {"deployNetworkPolicies": False}, id="made without policies"),
        pytest.param({}, {"deployNetworkPolicies": False}, id="given away"),
        pytest.param({"deployNetworkPolicies": False}, {}, id="taken back"),
        pytest.param({"listeners": [{"name": "e", "port": 443}]}, {}, id="moved"),
    ],
)
def test_the_policy_behind_a_closed_port_is_named_however_long_the_names_are(before: Node | None, after: Node) -> None:
    """The end of a warning is not cut."""
    name = "f" * 60
    isolating = [default_deny(f"{letter}-{name}") for letter in "abc"]
    there = gateway_pod(f"gw-ibm-egw-gateway-{name}", labels=eem_labels("gw"))
    moved = {"listeners": [{"name": "e", "port": 65535}]}

    old = None if before is None else gateway(spec={**moved, **before})
    found = judged(world(there, *isolating), gateway(spec={**moved, **after}), old)

    (told,) = clean(found)
    assert told.startswith("TCP/65535 of gw-ibm-egw-")
    assert ": isolated by a-ffffff" in told
    assert told.endswith("ffff and 2 more")


def test_another_change_of_an_instance_is_no_warning_about_ports() -> None:
    """A port that was closed before is not mentioned at each change."""
    old = gateway()

    found = judged(world(old, gateway_pod(), default_deny()), gateway(spec={"gatewayContact": "jane"}), old)

    assert [] == clean(found)


def test_some_source_is_enough_under_sources_some() -> None:
    """`--sources some` applies to these warnings as well."""
    some = policy(
        "some",
        pod_selector=selector(**{"app.kubernetes.io/instance": "gw"}),
        ingress=[from_({"podSelector": {}}, ports=[port(8092)])],
    )

    found = judged(world(default_deny(), some), gateway(), options=Options(sources="some"))

    assert [] == clean(found)


# Defaults


def patch_of(request: AdmissionRequest, options: Options | None = None) -> list[Any] | None:
    """Return the patch as it is on the wire."""
    answer = json.loads(encode_review(request, default(request, world(), options or Options())))["response"]
    assert answer["allowed"]
    if "patch" not in answer:
        assert "patchType" not in answer
        return None
    assert answer["patchType"] == "JSONPatch"
    found: list[Any] = json.loads(base64.b64decode(answer["patch"]))
    return found


def test_a_new_instance_gets_its_documented_defaults() -> None:
    """Above all spec.deployNetworkPolicies."""
    patch = patch_of(asked(gateway()))

    assert {"op": "add", "path": "/spec/deployNetworkPolicies", "value": True} in (patch or [])


@pytest.mark.parametrize(
    ("new", "old", "options"),
    [
        pytest.param(gateway(deploy_network_policies=False, spec={"replicas": 2}), None, None, id="all is set"),
        pytest.param(gateway(), gateway(), None, id="an update"),
        pytest.param(gateway(), None, Options(defaults=False), id="defaults are off"),
    ],
)
def test_an_instance_without_missing_defaults_gets_no_patch(
    new: ApiObject, old: ApiObject | None, options: Options | None
) -> None:
    """The answer has no patch field."""
    assert patch_of(asked(new, old), options) is None


def test_defaults_do_not_change_a_verdict() -> None:
    """The patched object gets the verdict of the original."""
    bare = without(instance("mgr", kind=MANAGER_KIND, spec={"license": LICENCE}), "manager")
    filled = bare | {"spec": bare["spec"] | {"deployNetworkPolicies": True}}

    before, after = judged(world(), bare), judged(world(), filled)

    assert before.causes == after.causes


def test_audit_mode_only_annotates_a_warning() -> None:
    """The user gets no warning."""
    doubtful = gateway(spec={"maxNumKafkaBrokers": 20})

    found = judged(world(), doubtful, options=Options(mode="audit"))

    assert (True, (), "audited") == (found.allowed, found.warnings, found.result)
    assert "maxNumKafkaBrokers" in found.audit_annotations["noted"]


def test_the_number_of_causes_is_bounded() -> None:
    """One refusal has at most a hundred causes."""
    trusted = [{"secretName": "Not A Name!", "certificate": "/"} for _ in range(200)]

    assert len(judged(world(), gateway(spec={"tls": {"trustedCertificates": trusted}})).causes) == 100
