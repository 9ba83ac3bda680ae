"""What the judgement of an object returns, what an UPDATE may keep, and which objects are not judged."""

from typing import Any

import pytest
from rules_builders import REMOVED, denials, gateway, licence, manager, warnings, with_value

from webhook.eem.rules import NEWEST, ProductVersion, RuleContext, judge, severities_of, stored_form
from webhook.eem.rules.product_fields import FIELDS
from webhook.eem.rules.product_version import LAST_FIELDS
from webhook.netpol.faults import Fault
from webhook.netpol.reading import field_text

NOWHERE = RuleContext()
CLAIM = {"type": "persistent-claim", "storageClassName": "fast"}


def _endpoints(*hosts: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "host": host} for name, host in hosts]


def test_a_violation_has_rule_severity_field_reason_and_message() -> None:
    """The fault of a violation is what the answer reports: field, reason, message and the id of the rule."""
    instance = manager(storage={"type": "persistent-claim", "storageClassName": "fast", "size": "10GiB"})

    (violation,) = judge(instance, None, NOWHERE)
    expected = Fault(
        field="spec.manager.storage.size",
        message='must be a Kubernetes quantity such as 500Mi or 10Gi, not "10GiB"',
        reason="Invalid",
        rule="format.manager.storage.size",
    )
    assert ("deny", expected) == (violation.severity, violation.fault)


def test_one_answer_has_denials_before_warnings_in_the_order_of_the_fields() -> None:
    """Denials come before warnings, each in the order of the fields, where list positions count as numbers."""
    hosts = [("ui", "a.example.com")] * 11
    instance = manager(endpoints=_endpoints(*hosts), storage={"type": "disk", "deleteClaim": "yes"})
    instance["spec"]["license"] = licence(accept=False, license="L-ZZZZ-ZZZZZZ")
    instance["spec"]["deployNetworkPolicies"] = False
    found = judge(instance, None, NOWHERE)
    names = [field for rule, field in denials(found) if rule == "endpoints.duplicate-name"]
    severities = [violation.severity for violation in found]

    assert [names[0], names[-1]] == ["spec.manager.endpoints[1].name", "spec.manager.endpoints[10].name"]
    assert sorted(severities) == severities
    assert {"licence.not-accepted", "type.manager.storage.deleteClaim", "value.manager.storage.type"} < {
        rule for rule, _ in denials(found)
    }
    assert (warnings(found)) == [
        ("network.policies-off", "spec.deployNetworkPolicies"),
        ("licence.unknown", "spec.license.license"),
    ]


def test_a_fault_that_the_old_object_had_is_a_warning() -> None:
    """An old fault becomes a warning that says so; a new fault in the same UPDATE is a denial."""
    old = manager(storage={**CLAIM, "size": "10GiB"})
    new = with_value(with_value(old, "spec.manager.fips", {"mode": "off"}), "spec.manager.traceSpec", "info")
    found = judge(new, old, NOWHERE)
    kept = [violation.message for violation in found if violation.severity == "warn"]

    assert denials(found) == [("value.manager.fips.mode", "spec.manager.fips.mode")]
    assert kept == ['must be a Kubernetes quantity such as 500Mi or 10Gi, not "10GiB" (as before)']


def test_a_fault_of_an_entry_stays_an_old_one_when_entries_change_places() -> None:
    """Entries are compared by name: a faulty entry may move, and the same fault in another entry is new."""
    old = manager(endpoints=_endpoints(("ui", "UI"), ("admin", "admin")))
    moved = manager(endpoints=_endpoints(("admin", "admin"), ("ui", "UI")))
    other = manager(endpoints=_endpoints(("ui", "ui"), ("admin", "ADMIN")))

    assert denials(judge(moved, old, NOWHERE)) == []
    assert denials(judge(other, old, NOWHERE)) == [("format.manager.endpoints.host", "spec.manager.endpoints[1].host")]


def test_entries_without_a_name_are_compared_by_their_secret_or_their_text() -> None:
    """An entry without a name is identified by its Secret, or by its text."""
    bad = {"certificate": "a/b"}
    old = manager(tls={"trustedCertificates": [{"secretName": "one", **bad}, 7, {**bad}, {**bad}]})
    kept = manager(tls={"trustedCertificates": [{**bad}, {"secretName": "one", **bad}]})
    more = manager(tls={"trustedCertificates": [{"secretName": "two", **bad}]})

    assert denials(judge(kept, old, NOWHERE)) == []
    assert [field for _, field in denials(judge(more, old, NOWHERE))] == [
        "spec.manager.tls.trustedCertificates[0].certificate"
    ]


def test_a_forbidden_change_is_denied_where_the_old_and_the_new_value_are_both_invalid() -> None:
    """An invalid class name is an old fault, and the change of the class is a new one."""
    old, new = (manager(storage={"type": "persistent-claim", "storageClassName": name}) for name in ("A", "B"))

    assert denials(judge(new, old, NOWHERE)) == [("storage.class-changed", "spec.manager.storage.storageClassName")]


def test_one_more_fault_of_the_same_kind_is_new() -> None:
    """Of two entries that look alike, only as many count as old as the old object had."""
    twice, thrice = (manager(endpoints=_endpoints(*[("ui", "")] * count)) for count in (2, 3))

    assert [rule == "endpoints.duplicate-name" for rule, _ in denials(judge(thrice, twice, NOWHERE))] == [True]
    assert not denials(judge(twice, thrice, NOWHERE))


def test_scopes_are_compared_by_their_text() -> None:
    """An old faulty scope stays a warning at any position; a new faulty scope is a denial where the rule denies."""
    oidc = {"site": "https://a.example.com", "secretName": "s", "clientIDKey": "i", "clientSecretKey": "k"}

    def scoped(*scopes: str) -> dict[str, Any]:
        authentication = {"authType": "OIDC", "oidcConfig": {**oidc, "additionalScopes": list(scopes)}}
        return manager(authConfig=authentication)

    context = RuleContext(severities=severities_of(["authentication.scope=deny"]))

    assert denials(judge(scoped("c", "a b"), scoped("a b"), context)) == []
    assert len(denials(judge(scoped("a b", "c d"), scoped("a b"), context))) == 1
    assert len(denials(judge(scoped("c d"), scoped("a b"), context))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(gateway(), gateway(), id="the same spec"),
        pytest.param(
            gateway(gatewayID=7),
            {**gateway(gatewayID=7), "metadata": {"name": "edge", "finalizers": []}},
            id="only metadata changes, and spec has a fault",
        ),
        pytest.param({"kind": "EventGateway"}, {"kind": "EventGateway", "status": {}}, id="no spec, before and after"),
    ],
)
def test_an_update_that_leaves_the_spec_as_it_is_violates_nothing(old: dict[str, Any], new: dict[str, Any]) -> None:
    """An UPDATE of status, labels or finalizers is not judged."""
    assert judge(new, old, NOWHERE) == ()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"apiVersion": "events.ibm.com/v1beta1", "kind": "EventProcessing"}, id="another kind"),
        pytest.param({"apiVersion": "example.com/v1", "kind": "EventGateway", "spec": {}}, id="another group"),
        pytest.param({"kind": 7}, id="no kind at all"),
        pytest.param(
            {**gateway(gatewayID=7), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, id="terminating"
        ),
    ],
)
def test_other_objects_are_not_judged(document: dict[str, Any]) -> None:
    """Other kinds of the group, other groups and terminating objects violate nothing."""
    assert judge(document, None, NOWHERE) == ()


def test_a_consequence_of_a_fault_is_not_reported() -> None:
    """For an object without spec, only the missing spec is reported."""
    document = {"apiVersion": "events.ibm.com/v1beta1", "kind": "EventGateway", "metadata": {"name": "a"}}

    assert denials(judge(document, None, NOWHERE)) == [("required.spec", "spec")]
    assert len(judge(document, None, NOWHERE)) == 1


def test_a_field_with_a_placeholder_has_one_violation() -> None:
    """A placeholder is reported once, and not also as an invalid id, use or quantity."""
    instance = manager(
        storage={**CLAIM, "size": "<size>"},
        template={"labels": {"<key>": "a"}, "annotations": {"note": "if (a <b) c> d", "all": "<all of it>"}},
    )
    instance["spec"]["license"] = licence(license="<id>", use="<use>", metric="<metric>")
    found = denials(judge(instance, None, NOWHERE))

    assert {rule for rule, _ in found} == {"structure.placeholder", "format.manager.template.labels"}
    assert {field for rule, field in found if rule == "structure.placeholder"} == {
        "spec.license.license",
        "spec.license.metric",
        "spec.license.use",
        "spec.manager.storage.size",
        "spec.manager.template.annotations.all",
        "spec.manager.template.labels[<key>]",
    }


def test_a_placeholder_in_a_map_key_is_found() -> None:
    """The name of an annotation may be left to fill in, too."""
    instance = manager(template={"annotations": {"<key>": "value"}})

    assert ("structure.placeholder", "spec.manager.template.annotations[<key>]") in denials(
        judge(instance, None, NOWHERE)
    )


@pytest.mark.parametrize(
    ("setting", "expected"), [("deny", (["network.policies-off"], [])), ("warn", ([], ["network.policies-off"]))]
)
def test_a_severity_can_be_changed(setting: str, expected: tuple[list[str], list[str]]) -> None:
    """The setting of a rule makes it deny or warn."""
    context = RuleContext(severities=severities_of([f"network.policies-off={setting}"]))
    found = judge(gateway(deployNetworkPolicies=False), None, context)

    assert expected == ([rule for rule, _ in denials(found)], [rule for rule, _ in warnings(found)])


def test_a_rule_that_is_switched_off_reports_nothing() -> None:
    """The last setting of a rule counts."""
    context = RuleContext(severities=severities_of(["required.gatewayID=warn", "required.gatewayID=off"]))

    assert judge(with_value(gateway(), "spec.gatewayID", REMOVED), None, context) == ()


def test_placeholders_are_ordinary_values_where_their_rule_is_switched_off() -> None:
    """Then the other rules report what is wrong with the field."""
    context = RuleContext(severities=severities_of(["structure.placeholder=off"]))
    found = judge(manager(storage={**CLAIM, "size": "<size>"}), None, context)

    assert denials(found) == [("format.manager.storage.size", "spec.manager.storage.size")]


@pytest.mark.parametrize("setting", ["no-such-rule=deny", "network.policies-off=loud", "network.policies-off", ""])
def test_a_setting_with_an_unknown_rule_or_word_is_an_error(setting: str) -> None:
    """The message names the unknown rule or word."""
    with pytest.raises(ValueError, match=r"there is no rule|expected deny, warn or off"):
        severities_of([setting])


def test_a_value_that_a_newer_operator_may_know_is_a_warning() -> None:
    """For an operator newer than the tables, an unknown value is a warning, unless the rule is set to deny."""
    instance = with_value(manager(), "spec.manager.authConfig.authType", "SAML")
    newer = ProductVersion.parse("11.9.0")
    strict = severities_of(["value.manager.authConfig.authType=deny"])
    found = [
        len(denials(judge(instance, None, context)))
        for context in (NOWHERE, RuleContext(version=newer), RuleContext(version=newer, severities=strict))
    ]

    assert found == [1, 0, 1]


def test_an_unknown_field_is_reported_for_a_file_only() -> None:
    """The API server drops unknown fields; for a file, the message helps to find the right name, place or version."""
    instance = gateway(gatewayId="a", secretName="b", nonsense={}, traceSpec="x")
    instance["spec"][7] = "a key that is no text"
    instance["spec"]["x" * 100] = ""
    context = RuleContext(version=ProductVersion.parse("11.4.0"), offline=True)
    found = {
        field_text(violation.path): violation.message.rpartition("drops it")[2]
        for violation in judge(instance, None, context)
        if violation.rule.id == "structure.unknown-field"
    }

    assert judge(gateway(nonsense={}), None, NOWHERE) == ()
    assert {
        "spec.gatewayId": "; did you mean gatewayID?",
        "spec.secretName": "; did you mean spec.tls.secretName?",
        "spec.nonsense": "",
        "spec[7]": "",
        "spec.traceSpec": "; it exists since 11.5.1",
        "spec.manager": "; it exists since 11.8.0",
        f"spec[{'x' * 39}…{'x' * 40}]": "",
    } == found


def test_a_map_of_strings_may_have_null_and_no_other_type() -> None:
    """A number among labels is reported at its key; a null counts as missing, as in the API server."""
    labels = {"example.com/team": 7, "zone": None, "side": ["left"]}
    found = judge(gateway(template={"labels": labels}), None, NOWHERE)

    assert denials(found) == [
        ("type.template.labels", "spec.template.labels[example.com/team]"),
        ("type.template.labels", "spec.template.labels.side"),
    ]


def test_messages_are_one_line_of_plain_text() -> None:
    """A value in a message has no control characters, and is shortened where it is long."""
    instance = manager(storage={**CLAIM, "size": "1\n\x1b[31mGi" + "x" * 200})

    messages = [violation.message for violation in judge(instance, None, NOWHERE)]
    assert [message.isprintable() and len(message) < 200 for message in messages] == [True]


def test_the_stored_form_of_a_file_lacks_the_fields_that_the_version_does_not_have() -> None:
    """What the API server would drop has no effect: objects, lists and maps keep the rest."""
    extra = {"listeners": [{"name": "a", "port": 1}], "template": {"labels": {"any": "key"}, "extra": 1}}
    instance = gateway(tls={"trustedCertificates": [{"secretName": "a", "extra": {}}, 7]}, **extra)
    context = RuleContext(version=ProductVersion.parse("11.6.1"), offline=True)

    expected = gateway(tls={"trustedCertificates": [{"secretName": "a"}, 7]}, template={"labels": {"any": "key"}})
    del expected["spec"]["manager"]
    assert expected == stored_form(instance, context)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(RuleContext(version=ProductVersion.parse("11.6.1")), id="from the API server"),
        pytest.param(RuleContext(version=ProductVersion.parse("11.9.0"), offline=True), id="of a newer operator"),
    ],
)
def test_an_object_stays_as_it_is_where_the_fields_are_not_known(context: RuleContext) -> None:
    """The API server has dropped unknown fields already; and what a newer version has is not known."""
    instance = gateway(nonsense=1)

    assert instance is stored_form(instance, context)


def test_another_kind_has_no_stored_form() -> None:
    """Objects of other kinds stay as they are."""
    document = {"kind": "EventProcessing", "spec": {"a": 1}}

    assert document is stored_form(document, RuleContext(offline=True))


PRODUCT = [
    pytest.param(manager(authConfig={"authType": "OIDC"}), "authentication.oidc-missing", id="a missing setting"),
    pytest.param(gateway(gatewayID=7), "type.gatewayID", id="a type"),
    pytest.param(manager(storage=None), "required.manager.storage", id="a required field"),
    pytest.param(gateway(gatewayContact="a", replicas=-1), "range.replicas", id="a range"),
    pytest.param(
        manager(endpoints=[{"name": "web"}, {"name": "web"}]), "endpoints.duplicate-name", id="a duplicate endpoint"
    ),
    pytest.param(with_value(manager(), "spec.license.use", "New"), "licence.unknown-use", id="an unknown use"),
]
LASTING = [
    pytest.param(with_value(manager(), "spec.license.accept", False), "licence.not-accepted", id="the licence"),  # noqa: FBT003
    pytest.param(manager(traceSpec="<trace>"), "structure.placeholder", id="a placeholder that is left"),
    pytest.param(manager(storage={**CLAIM, "size": "<size>"}), "structure.placeholder", id="a placeholder"),
    pytest.param(
        manager(endpoints=[{"name": "ui", "host": "a.b"}, {"name": "admin", "host": "a.b"}]),
        "endpoints.duplicate-host",
        id="a duplicate host",
    ),
]


@pytest.mark.parametrize(("instance", "rule"), PRODUCT)
def test_a_rule_about_the_product_only_warns_for_a_newer_operator(instance: dict[str, Any], rule: str) -> None:
    """What the fields of a version later than the newest known one are cannot be known."""
    severities = {
        version: {
            found.severity for found in judge(instance, None, RuleContext(version=version)) if found.rule.id == rule
        }
        for version in (NEWEST, ProductVersion.parse("11.9.0"), ProductVersion.parse("12.0.0"))
    }

    assert list(severities.values()) == [{"deny"}, {"warn"}, {"warn"}]


@pytest.mark.parametrize(("instance", "rule"), LASTING)
def test_a_rule_about_kubernetes_or_the_object_itself_denies_for_a_newer_operator(
    instance: dict[str, Any], rule: str
) -> None:
    """These rules do not depend on the version of the product."""
    newer = RuleContext(version=ProductVersion.parse("11.9.0"))

    assert rule in [found for found, _ in denials(judge(instance, None, newer))]


@pytest.mark.parametrize(
    ("version", "denied"),
    [
        pytest.param(ProductVersion(11, 8, 0), True, id="the operator's own version"),
        pytest.param(ProductVersion(11, 8, 0, or_later=True), False, id="a lower bound with the newest fields"),
        pytest.param(ProductVersion(11, 6, 2, or_later=True), True, id="a lower bound without the newest fields"),
    ],
)
def test_an_unknown_value_is_a_warning_where_the_operator_may_be_newer(
    version: ProductVersion, *, denied: bool
) -> None:
    """Definitions without newer fields may belong to a newer release, which may know more values."""
    instance = with_value(manager(authConfig={"authType": "OIDC"}), "spec.license.use", "New")
    found = [rule for rule, _ in denials(judge(instance, None, RuleContext(version=version)))]

    assert found == ["licence.unknown-use"] * denied + ["authentication.oidc-missing"]


@pytest.mark.parametrize("version", ["11.9.0", "11.8.1"])
def test_an_unknown_field_of_a_newer_operator_is_not_called_dropped(version: str) -> None:
    """Whether a newer version has the field cannot be known."""
    context = RuleContext(version=ProductVersion.parse(version), offline=True)
    (found,) = judge(gateway(extra=1), None, context)

    assert ("the newest version known here" in found.message) == (version == "11.9.0")
    assert ("the API server drops it" in found.message) == (version == "11.8.1")


def test_the_last_release_with_new_fields_is_the_newest_of_the_table() -> None:
    """A new field in the tables moves the release from which definitions may be newer."""
    newest = max(row.since for rows in FIELDS.values() for row in rows)

    assert newest == LAST_FIELDS <= NEWEST
