"""The entries that the configurations should hold, and the comparison with those that they hold."""

import base64
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from registration_builders import BUNDLE, configuration, encoded, shipped

from webhook.admission.exemptions import CANARY_NAMESPACE
from webhook.controllers.configurations import (
    apply_body,
    bundle_entries,
    bundle_of,
    bundles,
    covered_namespaces,
    find_entry,
    has_surplus,
    is_written,
    registered_namespaces,
    strays,
    wanted_namespaces,
    wants_cluster_policies,
)
from webhook.controllers.drift import drift
from webhook.controllers.entries import (
    DEFAULTS,
    INSTANCES,
    MUTATING,
    POLICIES,
    SHIPPED,
    VALIDATING,
    cluster_policy_entry,
    policy_entry,
)
from webhook.eem.resources import CLUSTER_POLICIES as CLUSTER
from webhook.eem.resources import CLUSTER_POLICY_VERSIONS
from webhook.server import WEBHOOKS

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
DEFAULTED: dict[str, Any] = {"objectSelector": {}}
"""The defaults that the API server sets for fields that a manifest omits."""


def manifest(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MANIFESTS / path).read_text())
    return found


@pytest.mark.parametrize("resource", [VALIDATING, MUTATING], ids=lambda one: one.kind)
def test_the_shipped_entries_are_those_of_the_manifests(resource: Any) -> None:
    """The base has these entries, field by field, and none has a caBundle."""
    found = manifest(f"base/{resource.kind.lower()}.yaml")

    assert [DEFAULTED | entry for entry in found["webhooks"]] == [dict(entry) for entry in SHIPPED[resource.kind]]


def test_the_static_entry_equals_the_one_that_the_service_writes() -> None:
    """Only the namespaces and the caBundle differ."""
    (entry,) = manifest("components/static-registration/validatingwebhookconfiguration.yaml")["webhooks"]
    (expression,) = entry["namespaceSelector"]["matchExpressions"]
    kept = policy_entry(expression["values"], b"", "Fail")
    del kept["clientConfig"]["caBundle"]
    kept["namespaceSelector"]["matchExpressions"][0]["values"] = expression["values"]

    assert DEFAULTED | entry == kept


def test_entries_name_the_paths_that_are_served() -> None:
    """Each path is registered under the name that its metrics and log lines have."""
    own = policy_entry((), b"", "Fail"), cluster_policy_entry(b"", "Ignore")
    entries = [*own, *SHIPPED[VALIDATING.kind], *SHIPPED[MUTATING.kind]]

    assert {entry["clientConfig"]["service"]["path"]: entry["name"] for entry in entries} == dict(WEBHOOKS)


def test_the_policy_entry_has_eem_and_canary_namespaces_only() -> None:
    """Namespaces are sorted; the canary namespace is always there; the service's own and kube-system never are."""
    entry = policy_entry(["shop", "eem", "kube-system", "eem-guardrail"], BUNDLE, "Ignore")
    (expression,) = entry["namespaceSelector"]["matchExpressions"]

    assert expression["values"] == ["eem", CANARY_NAMESPACE, "shop"]
    assert (entry["failurePolicy"], base64.b64decode(entry["clientConfig"]["caBundle"])) == ("Ignore", BUNDLE)


def test_the_entry_for_cluster_wide_policies_has_every_readable_version() -> None:
    """Its kinds are cluster-scoped, so a selector of namespaces would have no effect."""
    entry = cluster_policy_entry(BUNDLE, "Ignore")
    covered = {
        (one, version) for rule in entry["rules"] for one in rule["resources"] for version in rule["apiVersions"]
    }

    assert covered == {(one.plural, version) for one in CLUSTER for version in CLUSTER_POLICY_VERSIONS[one.kind]}
    assert [rule["scope"] for rule in entry["rules"]] == ["Cluster"] * len(CLUSTER)
    assert (entry["namespaceSelector"], entry["failurePolicy"]) == ({}, "Ignore")
    assert [one["name"] for one in entry["matchConditions"]] == ["not-the-garbage-collector", "spec-changes"]


@pytest.mark.parametrize(
    ("there", "served", "eem", "proven", "wanted"),
    [
        pytest.param(False, True, {"eem"}, True, True, id="a kind and EEM"),
        pytest.param(False, True, {"eem"}, False, False, id="no proof yet that reviews arrive"),
        pytest.param(True, True, {"eem"}, False, True, id="it stays without a new proof"),
        pytest.param(True, False, {"eem"}, True, False, id="no such kind any more"),
        pytest.param(True, True, set(), True, False, id="no EEM any more"),
        pytest.param(True, None, {"eem"}, True, True, id="it stays while the kinds are not known"),
        pytest.param(True, True, None, True, True, id="it stays while EEM is not known"),
        pytest.param(False, None, {"eem"}, True, False, id="it does not come while the kinds are not known"),
    ],
)
def test_when_the_entry_for_cluster_wide_policies_is_wanted(
    *, there: bool, served: bool | None, eem: set[str] | None, proven: bool, wanted: bool
) -> None:
    """It is there while a kind and an EEM namespace exist, and comes after a proof only."""
    found = configuration(VALIDATING, *([cluster_policy_entry(BUNDLE, "Ignore")] if there else []))
    known = None if eem is None else frozenset(eem)

    assert wants_cluster_policies(found, served=served, eem=known, proven=proven) is wanted


def test_additions_to_both_own_entries_are_removed() -> None:
    """A condition or a URL of another client could turn off either."""
    wanted = [policy_entry(["eem"], BUNDLE, "Fail"), cluster_policy_entry(BUNDLE, "Ignore")]
    edited = copy.deepcopy(wanted)
    edited[0]["matchConditions"].append({"name": "never", "expression": "false"})
    edited[1]["matchConditions"].insert(0, {"name": "never", "expression": "false"})
    edited[1]["clientConfig"]["url"] = "https://elsewhere.example.com"

    patch = strays(configuration(VALIDATING, *edited), wanted)

    assert [(one["op"], one["path"]) for one in patch] == [
        ("test", "/metadata/resourceVersion"),
        ("remove", "/webhooks/0/matchConditions/3"),
        ("remove", "/webhooks/1/matchConditions/0"),
        ("replace", "/webhooks/1/clientConfig"),
    ]


def test_an_entry_for_cluster_wide_policies_that_is_not_wanted_is_removed() -> None:
    """A server-side apply would leave what another client owns of it."""
    policies, clusters = policy_entry(["eem"], BUNDLE, "Fail"), cluster_policy_entry(BUNDLE, "Ignore")
    found = configuration(VALIDATING, *shipped(VALIDATING), policies, clusters)

    assert strays(found, [policies])[1:] == [{"op": "remove", "path": "/webhooks/2"}]
    assert strays(found, [policies, clusters]) == []
    assert has_surplus(found, [policies])
    assert not has_surplus(found, [policies, clusters])


def test_an_apply_has_the_uid_and_resource_version_that_were_seen() -> None:
    """So it neither creates a configuration nor overwrites an unseen change."""
    found = configuration(VALIDATING, *shipped(VALIDATING))
    entries = [policy_entry(["eem"], BUNDLE, "Fail"), *bundle_entries(found, BUNDLE)]

    body = apply_body(found, entries)

    assert body["metadata"] == {"name": "eem-guardrail", "uid": "uid-1", "resourceVersion": "1"}
    assert body["webhooks"][1:] == [{"name": INSTANCES, "clientConfig": {"caBundle": encoded(BUNDLE)}}]


def test_only_existing_entries_get_a_bundle() -> None:
    """A shipped entry that was removed is not created in part."""
    assert bundle_entries(configuration(VALIDATING), BUNDLE) == []


EDITS: list[Any] = [
    pytest.param(lambda entry: entry.update(failurePolicy="Ignore"), False, id="another failurePolicy"),
    pytest.param(lambda entry: entry.update(timeoutSeconds=30), False, id="another timeout"),
    pytest.param(lambda entry: entry["clientConfig"].update(caBundle=""), False, id="no caBundle"),
    pytest.param(lambda entry: entry["clientConfig"].update(service={}), False, id="another Service"),
    pytest.param(lambda entry: entry.update(objectSelector={"matchLabels": {"a": "b"}}), False, id="a selector"),
    pytest.param(lambda entry: entry["rules"][0].update(operations=["CREATE"]), False, id="fewer operations"),
    pytest.param(lambda entry: entry["matchConditions"].pop(), False, id="a condition less"),
    pytest.param(lambda entry: entry["matchConditions"].reverse(), True, id="conditions in another order"),
    pytest.param(lambda entry: entry.update(someLaterField="default"), True, id="a field that a later API adds"),
    pytest.param(lambda _: None, True, id="nothing changed"),
]


@pytest.mark.parametrize(("edit", "written"), EDITS)
def test_an_entry_is_written_when_every_field_of_it_is_there(
    edit: Callable[[dict[str, Any]], object], *, written: bool
) -> None:
    """An entry counts as written only if each of its fields is equal."""
    wanted = policy_entry(["eem"], BUNDLE, "Fail")
    found = copy.deepcopy(wanted)
    edit(found)

    assert is_written(configuration(VALIDATING, found), [wanted]) == written


def test_a_missing_entry_does_not_count_as_written() -> None:
    """Neither a whole entry nor a caBundle is there without the entry."""
    empty = configuration(VALIDATING)

    assert not is_written(empty, [policy_entry([], BUNDLE, "Fail")])
    assert not is_written(empty, [{"name": INSTANCES, "clientConfig": {"caBundle": encoded(BUNDLE)}}])


def test_only_the_bundle_of_a_shipped_entry_is_compared() -> None:
    """The other fields of a shipped entry do not matter."""
    entry = {**shipped(VALIDATING)[0], "clientConfig": {"caBundle": encoded(BUNDLE)}, "failurePolicy": "Fail"}
    found = configuration(VALIDATING, entry)

    assert is_written(found, bundle_entries(found, BUNDLE))
    assert not is_written(found, bundle_entries(found, b"another"))


def test_conditions_of_other_clients_are_removed_by_index() -> None:
    """The patch removes them from the last to the first, if nothing changed meanwhile."""
    entry = policy_entry([], BUNDLE, "Fail")
    first, *rest = entry["matchConditions"]
    conditions = [first, {"name": "never", "expression": "false"}, *rest, {"name": "always", "expression": "true"}]
    found = configuration(VALIDATING, *shipped(VALIDATING), {**entry, "matchConditions": conditions})

    assert not is_written(found, [entry])
    assert strays(found, [entry]) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
        {"op": "remove", "path": "/webhooks/1/matchConditions/4"},
        {"op": "remove", "path": "/webhooks/1/matchConditions/1"},
    ]


def test_a_url_of_another_client_is_replaced() -> None:
    """The patch replaces the whole clientConfig, since an apply beside a URL is not valid."""
    entry = policy_entry([], BUNDLE, "Fail")
    found = configuration(VALIDATING, {**entry, "clientConfig": {"url": "https://elsewhere.example.com"}})

    assert not is_written(found, [entry])
    assert strays(found, [entry]) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
        {"op": "replace", "path": "/webhooks/0/clientConfig", "value": entry["clientConfig"]},
    ]
    assert strays(found, []) == []


def test_without_additions_of_other_clients_there_is_no_patch() -> None:
    """A correct entry and a missing one have none; the entries of other clients are theirs."""
    entry = policy_entry([], BUNDLE, "Fail")
    other = {"name": "other.example.com", "matchConditions": [{"name": "never", "expression": "false"}]}

    assert strays(configuration(VALIDATING, entry, other), [entry]) == []
    assert strays({**configuration(VALIDATING), "webhooks": None}, [entry]) == []


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a"]}]}, {"a"}),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}, set()),
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}, set()),
        ({}, set()),
        (None, set()),
    ],
)
def test_registered_namespaces_are_those_of_the_selector(selector: Any, expected: set[str]) -> None:
    """A selector that is not a list of names gives no namespace."""
    entry = {"name": POLICIES, "namespaceSelector": selector}

    assert registered_namespaces(configuration(VALIDATING, entry)) == expected


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "x"]}]}, "a"),
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["a"]}]}, "b"),
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}, "ab"),
        ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]}, ""),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, ""),
        ({"matchLabels": {"kubernetes.io/metadata.name": "b"}}, "b"),
        ({"matchLabels": {"team": "a"}}, ""),
        ({"matchLabels": {}, "matchExpressions": None}, "ab"),
        (None, "ab"),
    ],
)
def test_a_selector_in_any_form_covers_namespaces_by_name(selector: Any, covered: str) -> None:
    """A requirement on another label covers none."""
    entry = {"name": POLICIES, "namespaceSelector": selector}

    assert covered_namespaces(configuration(VALIDATING, entry), AB) == frozenset(covered)
    assert covered_namespaces(configuration(VALIDATING), AB) == NONE


def test_a_missing_entry_differs_from_an_empty_one() -> None:
    """Without the entry, or without the configuration, the result is None."""
    assert registered_namespaces(configuration(VALIDATING)) is None
    assert registered_namespaces(None) is None


NONE: frozenset[str] = frozenset()
A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")


@pytest.mark.parametrize(
    ("registered", "eem", "proven", "expected"),
    [
        pytest.param(None, None, False, None, id="nothing known, nothing there"),
        pytest.param(A, None, False, A, id="nothing known: what is there stays"),
        pytest.param(A, None, True, A, id="nothing known, though proven: what is there stays"),
        pytest.param(None, AB, False, NONE, id="not proven: the canary alone"),
        pytest.param(None, AB, True, AB, id="wiped after it was proven: everything at once"),
        pytest.param(A, AB, False, A, id="not proven: nothing is added"),
        pytest.param(A, AB, True, AB, id="proven: added"),
        pytest.param(AB, A, False, A, id="what is gone goes without a proof"),
        pytest.param(AB, B, True, B, id="what is gone goes"),
    ],
)
def test_namespaces_are_added_only_with_a_proof_and_kept_without_one(
    registered: frozenset[str] | None,
    eem: frozenset[str] | None,
    expected: frozenset[str] | None,
    *,
    proven: bool,
) -> None:
    """Each case of what is registered, where EEM runs and whether a heartbeat was refused."""
    assert wanted_namespaces(registered, eem, proven=proven) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [(encoded(BUNDLE), BUNDLE), ("", b""), (None, b""), ("not base64!", b"")],
)
def test_a_bundle_that_is_not_base64_is_empty(written: Any, expected: bytes) -> None:
    """So is a missing one."""
    entry = {"name": INSTANCES, "clientConfig": {"caBundle": written}}

    assert bundle_of(configuration(VALIDATING, entry), INSTANCES) == expected


def test_bundles_are_those_of_the_services_entries() -> None:
    """An entry without a caBundle counts, another client's does not."""
    mine = {"name": POLICIES, "clientConfig": {"caBundle": encoded(BUNDLE)}}
    bare = {"name": INSTANCES, "clientConfig": None}
    other = {"name": "other.example.com", "clientConfig": {"caBundle": encoded(b"x")}}

    assert bundles(configuration(VALIDATING, mine, bare, other)) == (BUNDLE, b"")
    assert bundles({**configuration(VALIDATING), "webhooks": None}) == ()


def test_a_configuration_as_shipped_has_no_drift() -> None:
    """A caBundle, other clients' entries, the entry for NetworkPolicies and fields of a later API do not count."""
    entries = shipped(VALIDATING)
    entries[0]["clientConfig"]["caBundle"] = encoded(BUNDLE)
    entries[0]["someLaterField"] = "default"
    found = configuration(VALIDATING, *entries, policy_entry([], BUNDLE, "Fail"), {"name": "other.example.com"})

    assert drift(found, VALIDATING) == ()
    assert drift(configuration(MUTATING, *shipped(MUTATING)), MUTATING) == ()


DRIFTS: list[Any] = [
    pytest.param(lambda entry: entry.update(failurePolicy="Fail"), ["failurePolicy"], id="Fail instead of Ignore"),
    pytest.param(lambda entry: entry.update(rules=[]), ["rules"], id="no rules"),
    pytest.param(lambda entry: entry.update(timeoutSeconds=1), ["timeoutSeconds"], id="a second"),
    pytest.param(lambda entry: entry.pop("namespaceSelector"), ["namespaceSelector"], id="every namespace"),
    pytest.param(lambda entry: entry.update(clientConfig={"url": "https://evil"}), ["clientConfig"], id="elsewhere"),
    pytest.param(lambda entry: entry.update(clientConfig=None), ["clientConfig"], id="nowhere"),
    pytest.param(
        lambda entry: entry.update(matchConditions=[{"name": "never", "expression": "false"}]),
        ["matchConditions"],
        id="conditions",
    ),
]


@pytest.mark.parametrize(("edit", "fields"), DRIFTS)
@pytest.mark.parametrize(("resource", "name"), [(VALIDATING, INSTANCES), (MUTATING, DEFAULTS)])
def test_drift_names_the_field(
    resource: Any, name: str, edit: Callable[[dict[str, Any]], object], fields: list[str]
) -> None:
    """Each field that differs from the manifests is named with its path."""
    entries = shipped(resource)
    edit(entries[0])
    found = drift(configuration(resource, *entries), resource)

    assert [one.field for one in found] == [f"{resource.plural}.webhooks[{name}].{field}" for field in fields]
    assert str(found[0]).startswith(found[0].field)


def test_drift_shows_both_values_shortened() -> None:
    """A value is shown as JSON, and cut if it is long."""
    entries = shipped(VALIDATING)
    entries[0] |= {"failurePolicy": "Fail", "matchConditions": None, "timeoutSeconds": 1}
    found = {one.field.rpartition(".")[2]: one for one in drift(configuration(VALIDATING, *entries), VALIDATING)}

    assert (found["failurePolicy"].found, found["failurePolicy"].expected) == ('"Fail"', '"Ignore"')
    assert (found["matchConditions"].found, len(found["matchConditions"].expected)) == ("nothing", 120)


def test_missing_entries_and_configurations_are_drift() -> None:
    """A configuration without entries guards nothing, and neither does a missing one."""
    assert [one.field for one in drift(configuration(VALIDATING), VALIDATING)] == [
        f"validatingwebhookconfigurations.webhooks[{INSTANCES}]"
    ]
    assert [one.field for one in drift(None, MUTATING)] == ["mutatingwebhookconfigurations"]


def test_a_configuration_without_a_list_has_no_entries() -> None:
    """find_entry returns None for it."""
    assert find_entry({"webhooks": None}, POLICIES) is None
