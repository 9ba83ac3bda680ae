"""
A file is merged into the live object as kubectl does it. The numbers are the rows of inputs from the field that failed.

The real kubectl and API server are compared in tests/e2e/test_apply_of_kubectl.py; here are the cases by name.
"""

import json
from typing import Any

import pytest
from builders import ApiObject, from_, instance, policy, port, selector, workload

from webhook.files.applying import LAST_APPLIED, ApplyError, applied, kept_fields, with_defaults


def last(api_object: ApiObject) -> dict[str, str]:
    return {LAST_APPLIED: json.dumps(api_object)}


def after(live: Any, new: Any, last_applied: Any = None) -> Any:
    """Return the spec of a Deployment after `kubectl apply`."""
    made = {**workload("d"), "spec": live}
    if last_applied is not None:
        made["metadata"] = {**made["metadata"], "annotations": last({**workload("d"), "spec": last_applied})}
    return applied({**workload("d"), "spec": new}, made, "apply")["spec"]


def pod(**spec: Any) -> Any:
    return {"template": {"spec": spec}}


@pytest.mark.parametrize(
    ("live", "new", "last_applied", "expected"),
    [
        pytest.param({"a": 1}, {"b": 2}, None, {"a": 1, "b": 2}, id="what the file does not have stays"),
        pytest.param({"a": 1, "b": 1}, {"b": 2}, {"a": 1}, {"b": 2}, id="what it had and has no longer is deleted"),
        pytest.param({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1, "y": 1}}, {"a": {}}, id="also below"),
        pytest.param({"a": 1}, {"a": None}, None, {}, id="null deletes"),
        pytest.param({}, {"a": {"x": None, "y": 1}}, None, {"a": {"y": 1}}, id="null below what is new"),
        pytest.param({"a": 1}, {"a": {"x": 1}}, {"a": {"y": 1}}, {"a": {"x": 1}}, id="another type"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [1]}, {"a": [3]}, id="a list without merge key is replaced"),
    ],
)
def test_mappings_are_merged(live: Any, new: Any, last_applied: Any, expected: Any) -> None:
    """Three objects decide: the file, the file that was applied last, and the live object."""
    assert after(live, new, last_applied) == expected


def named(*names: str, **fields: Any) -> list[Any]:
    return [{"name": name, **fields} for name in names]


@pytest.mark.parametrize(
    ("live", "new", "last_applied", "expected"),
    [
        pytest.param(named("a"), named("b"), None, named("b", "a"), id="live items stay, after new ones"),
        pytest.param(named("a", "x"), named("x"), named("a"), named("x"), id="an item that the file had is deleted"),
        pytest.param(named("a", "x", "b"), named("b", "a"), None, named("x", "b", "a"), id="the order of the file"),
        pytest.param(
            named("a", image="1"), named("a", tty=True), None, named("a", image="1", tty=True), id="items merge"
        ),
        pytest.param(named("a"), [], None, named("a"), id="an empty list adds nothing"),
        pytest.param(named("a"), [{"image": "1"}], None, [{"image": "1"}], id="an item without key: as a whole"),
    ],
)
def test_lists_with_a_merge_key_are_merged(live: Any, new: Any, last_applied: Any, expected: Any) -> None:
    """Containers, volumes, variables: each item by its key."""
    before = None if last_applied is None else pod(containers=last_applied)

    assert after(pod(containers=live), pod(containers=new), before) == pod(containers=expected)


def test_ports_are_merged_in_containers_and_replaced_elsewhere() -> None:
    """The list `ports` of a policy has no merge key."""
    live, new = pod(containers=[{"name": "a", "ports": [{"containerPort": 1}]}]), {"containerPort": 2}

    found = after(live, pod(containers=[{"name": "a", "ports": [new]}]))["template"]["spec"]["containers"][0]["ports"]

    assert found == [{"containerPort": 2}, {"containerPort": 1}]


def test_the_strategy_and_a_volume_keep_only_the_keys_of_the_file() -> None:
    """A volume is a configMap or a secret, not both."""
    live = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}, **pod(volumes=[{"name": "v", "configMap": {}}])}
    new = {"strategy": {"type": "Recreate"}, **pod(volumes=[{"name": "v", "secret": {}}])}

    assert after(live, new) == new
    assert after(live, {"strategy": {}})["strategy"] == live["strategy"]


def test_finalizers_are_a_set() -> None:
    """What others have added stays."""
    live, new = policy("a"), policy("a")
    live["metadata"] |= {"finalizers": ["theirs", "gone"], "annotations": last({"metadata": {"finalizers": ["gone"]}})}
    new["metadata"]["finalizers"] = ["mine"]

    assert applied(new, live, "apply")["metadata"]["finalizers"] == ["mine", "theirs"]


@pytest.mark.parametrize(
    ("live", "new", "last_applied", "expected"),
    [
        pytest.param(
            {"a": [{"name": "x"}]}, {"a": [{"name": "y"}]}, None, {"a": [{"name": "y"}]}, id="lists are replaced"
        ),
        pytest.param({"a": 1}, {"a": None}, None, {}, id="null deletes"),
        pytest.param(
            {"a": 1}, {"a": None}, {"a": None}, {"a": 1}, id="a null that was applied before as well does not"
        ),
        pytest.param({"a": 1, "b": 1}, {"b": 2}, {"a": 1}, {"b": 2}, id="what it had and has no longer is deleted"),
        pytest.param({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1}}, {"a": {"y": 2}}, id="also below"),
        pytest.param({"a": 1}, {"b": {"x": None}}, None, {"a": 1, "b": {}}, id="null below what is new"),
    ],
)
def test_custom_resources_are_merged_as_json(live: Any, new: Any, last_applied: Any, expected: Any) -> None:
    """Kubectl knows no merge keys of theirs."""
    had = {**instance("gw"), "spec": live}
    if last_applied is not None:
        had["metadata"] = {**had["metadata"], "annotations": last({"spec": last_applied})}

    assert applied({**instance("gw"), "spec": new}, had, "apply")["spec"] == expected


# NetworkPolicies


def test_live_labels_of_a_selector_stay() -> None:
    """Row 4: the policy was made by `kubectl create`, so nothing says that the label was the file's."""
    live, new = policy("a", pod_selector=selector(one="1")), policy("a", pod_selector=selector(two="2"))

    made = applied(new, live, "apply")

    assert made["spec"]["podSelector"] == {"matchLabels": {"one": "1", "two": "2"}}
    assert kept_fields(new, made) == ("spec.podSelector.matchLabels.one",)


def test_live_rules_stay() -> None:
    """Row 5: the file has no `ingress`."""
    made = applied(policy("a"), policy("a", ingress=[{}]), "apply")

    assert made["spec"]["ingress"] == [{}]
    assert kept_fields(policy("a"), made) == ("spec.ingress",)


@pytest.mark.parametrize(
    ("live", "new", "expected"),
    [
        pytest.param(policy("a", policy_types=["Egress"]), policy("a"), ["Egress"], id="row 6"),
        pytest.param(policy("a"), policy("a", egress=[{}]), ["Ingress"], id="the default that the API server stored"),
        pytest.param(policy("a"), policy("a", policy_types=["Egress"]), ["Egress"], id="what the file says"),
        pytest.param(policy("a", policy_types=["Egress"]), policy("a", policy_types=[]), ["Ingress"], id="the default"),
    ],
)
def test_live_policy_types_stay(live: ApiObject, new: ApiObject, expected: list[str]) -> None:
    """Row 6: a file without `policyTypes` leaves them; the API server has stored its default."""
    assert applied(new, live, "apply")["spec"]["policyTypes"] == expected


def test_a_policy_without_a_live_one_gets_the_default_and_the_annotation() -> None:
    """The next apply of the same run knows what this one had."""
    first = applied(policy("a", ingress=[{}], egress=[]), None, "apply")
    second = applied(policy("a"), first, "apply")

    assert first["spec"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in second["spec"]
    assert kept_fields(policy("a"), second) == ()


def test_an_annotation_that_is_null_is_empty() -> None:
    """As kubectl reads annotations."""
    made = applied(policy("a", annotations={"a": None}), policy("a", annotations={"a": "1"}), "apply")

    assert made["metadata"]["annotations"]["a"] == ""


def test_metadata_of_the_api_server_stays() -> None:
    """A file that was made with `kubectl get` has a uid and a version of its own."""
    live = policy("a", uid="live", resource_version="7", terminating=True, annotations={"mine": "1"})
    made = applied({**policy("a", uid="other"), "status": {}}, {**live, "status": {"a": 1}}, "apply")

    assert (made["metadata"]["uid"], made["metadata"]["resourceVersion"]) == ("live", "7")
    assert made["metadata"]["deletionTimestamp"] == live["metadata"]["deletionTimestamp"]
    assert made["metadata"]["annotations"]["mine"] == "1"
    assert made["status"] == {"a": 1}


@pytest.mark.parametrize("text", ["{", 5])
def test_an_annotation_that_kubectl_cannot_read_is_an_error(text: Any) -> None:
    """Kubectl reports an error, too, and changes nothing."""
    with pytest.raises(ApplyError, match="cannot read the annotation"):
        applied(policy("a"), policy("a", annotations={LAST_APPLIED: text}), "apply")


# Other commands


def test_replace_takes_the_file_as_a_whole() -> None:
    """As every version before 0.3 did."""
    made = applied(policy("a"), policy("a", ingress=[{}], policy_types=["Egress"]), "replace")

    assert made["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert applied(policy("a"), None, "replace") == with_defaults(policy("a"))


def test_create_does_not_change_what_exists() -> None:
    """`kubectl create` fails."""
    assert applied(policy("a"), None, "create") == with_defaults(policy("a"))
    with pytest.raises(ApplyError, match="exists already"):
        applied(policy("a"), policy("a"), "create")


# Server-side apply


def managed(api_object: ApiObject, *entries: tuple[str, str, Any]) -> ApiObject:
    fields = [{"manager": manager, "operation": how, "fieldsV1": of} for manager, how, of in entries]
    return {**api_object, "metadata": {**api_object["metadata"], "managedFields": fields}}


INGRESS = {"f:spec": {"f:ingress": {}, "f:policyTypes": {}, "f:podSelector": {}}}


def test_server_side_apply_removes_what_kubectl_owns_alone() -> None:
    """Without managed fields nothing is known of owners, so everything stays."""
    live, new = policy("a", ingress=[{}]), policy("a", policy_types=["Ingress"])

    owned = applied(new, managed(live, ("kubectl", "Apply", INGRESS)), "server-side")
    shared = applied(new, managed(live, ("kubectl", "Apply", INGRESS), ("other", "Update", INGRESS)), "server-side")

    assert "ingress" not in owned["spec"]
    assert shared["spec"]["ingress"] == [{}]
    assert applied(new, live, "server-side")["spec"]["ingress"] == [{}]


def test_server_side_apply_of_another_managers_field_is_a_conflict() -> None:
    """Kubectl reports it and changes nothing; the same value is shared."""
    live = managed(policy("a", ingress=[{}]), ("argocd", "Apply", INGRESS))

    with pytest.raises(ApplyError, match=r"conflict: spec.ingress is owned by argocd"):
        applied(policy("a", ingress=[from_(ports=[port(1)])]), live, "server-side")
    assert applied(policy("a", ingress=[{}]), live, "server-side")["spec"]["ingress"] == [{}]


def test_server_side_apply_replaces_a_selector() -> None:
    """A selector is one value for the API server; what `kubectl apply` made before is kubectl's."""
    live = managed(policy("a", pod_selector=selector(one="1")), ("kubectl-client-side-apply", "Update", INGRESS))

    made = applied(policy("a", pod_selector=selector(two="2")), live, "server-side")

    assert made["spec"]["podSelector"] == selector(two="2")


def test_server_side_apply_merges_lists_by_their_keys() -> None:
    """Containers by name, their ports by number and protocol."""
    of_a = {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:tty": {}}, 'k:{"name":"old"}': {".": {}}}
    of_b = {'k:{"name":"b"}': {".": {}, "f:image": {}}}
    ports = [{"containerPort": 1}, {"containerPort": 1, "protocol": "UDP"}]
    had = [*named("a", image="1", tty=True, ports=ports), *named("b", image="1"), *named("old")]
    live = managed(
        {**workload("d"), "spec": pod(containers=had)},
        ("kubectl", "Apply", {"f:spec": {"f:template": {"f:spec": {"f:containers": of_a}}}}),
        ("other", "Update", {"f:spec": {"f:template": {"f:spec": {"f:containers": of_b}}}}),
    )
    new = [{"containerPort": 1, "protocol": "TCP", "name": "web"}]
    file = {**workload("d"), "spec": pod(containers=[*named("a", image="2", ports=new), *named("c")])}

    (first, second, third) = applied(file, live, "server-side")["spec"]["template"]["spec"]["containers"]

    assert first == {"name": "a", "image": "2", "ports": [{**ports[0], **new[0]}, ports[1]]}
    assert (second, third) == (*named("b", image="1"), *named("c"))
    with pytest.raises(ApplyError, match=r"containers\[b\].image is owned by other"):
        applied({**workload("d"), "spec": pod(containers=named("b", image="2"))}, live, "server-side")


def test_managed_fields_of_a_subresource_or_without_fields_do_not_count() -> None:
    """The status is not the file's."""
    live = managed(policy("a", ingress=[{}]), ("kubectl", "Apply", None))
    live["metadata"]["managedFields"] += [
        {"manager": "x", "operation": "Update", "subresource": "status", "fieldsV1": INGRESS}
    ]

    assert applied(policy("a", ingress=[from_(ports=[port(1)])]), live, "server-side")["spec"]["ingress"] != [{}]
