"""What an answer looks like, what an UPDATE may keep, and what is passed over."""

from typing import Any

import pytest
from rules_builders import REMOVED, denials, gateway, licence, manager, warnings, with_value

from webhook.eem.rules import Finding, RuleContext, Version, judge, severities_of
from webhook.eem.rules.judge import MOST_FINDINGS

NOWHERE = RuleContext()
CLAIM = {"type": "persistent-claim", "storageClassName": "fast"}


def _endpoints(*hosts: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "host": host} for name, host in hosts]


def test_a_finding_says_everything() -> None:
    """Rule, severity, field, reason and what was expected stand in the finding."""
    instance = manager(storage={"type": "persistent-claim", "storageClassName": "fast", "size": "10GiB"})

    expected = Finding(
        rule="format.manager.storage.size",
        severity="deny",
        field="spec.manager.storage.size",
        reason="Invalid",
        message='"10GiB" is not a Kubernetes quantity: expected one such as 500Mi or 10Gi',
    )
    assert (expected,) == judge(instance, None, NOWHERE)


def test_all_faults_come_in_one_answer_denials_first_by_field() -> None:
    """Denials stand before warnings, and each group in the order of the fields, positions as numbers."""
    hosts = [("ui", "a.example.com")] * 11
    instance = manager(endpoints=_endpoints(*hosts), storage={"type": "disk", "deleteClaim": "yes"})
    instance["spec"]["license"] = licence(accept=False, license="L-ZZZZ-ZZZZZZ")
    instance["spec"]["deployNetworkPolicies"] = False
    findings = judge(instance, None, NOWHERE)
    names = [field for rule, field in denials(findings) if rule == "endpoints.duplicate-name"]
    severities = [finding.severity for finding in findings]

    assert [names[0], names[-1]] == ["spec.manager.endpoints[1].name", "spec.manager.endpoints[10].name"]
    assert sorted(severities) == severities
    assert {"licence.not-accepted", "type.manager.storage.deleteClaim", "value.manager.storage.type"} < {
        rule for rule, _ in denials(findings)
    }
    assert (warnings(findings)) == [
        ("network.policies-off", "spec.deployNetworkPolicies"),
        ("licence.unknown", "spec.license.license"),
    ]


def test_an_update_may_keep_its_faults() -> None:
    """A fault that the old object had is a warning that says so; a new one beside it is a denial."""
    old = manager(storage={**CLAIM, "size": "10GiB"})
    new = with_value(with_value(old, "spec.manager.fips", {"mode": "off"}), "spec.manager.traceSpec", "info")
    findings = judge(new, old, NOWHERE)
    kept = [finding.message for finding in findings if finding.severity == "warn"]

    assert denials(findings) == [("value.manager.fips.mode", "spec.manager.fips.mode")]
    assert kept == ['"10GiB" is not a Kubernetes quantity: expected one such as 500Mi or 10Gi (as before)']


def test_entries_are_known_by_name_when_they_change_places() -> None:
    """The faulty entry of a list may move; the same fault in another entry is new."""
    old = manager(endpoints=_endpoints(("ui", "UI"), ("admin", "admin")))
    moved = manager(endpoints=_endpoints(("admin", "admin"), ("ui", "UI")))
    other = manager(endpoints=_endpoints(("ui", "ui"), ("admin", "ADMIN")))

    assert denials(judge(moved, old, NOWHERE)) == []
    assert denials(judge(other, old, NOWHERE)) == [("format.manager.endpoints.host", "spec.manager.endpoints[1].host")]


def test_entries_without_a_name_are_known_by_their_secret_or_their_text() -> None:
    """Where no name tells entries apart, the secret does, then the text."""
    bad = {"certificate": "a/b"}
    old = manager(tls={"trustedCertificates": [{"secretName": "one", **bad}, 7, {**bad}, {**bad}]})
    kept = manager(tls={"trustedCertificates": [{**bad}, {"secretName": "one", **bad}]})
    more = manager(tls={"trustedCertificates": [{"secretName": "two", **bad}]})

    assert denials(judge(kept, old, NOWHERE)) == []
    assert [field for _, field in denials(judge(more, old, NOWHERE))] == [
        "spec.manager.tls.trustedCertificates[0].certificate"
    ]


def test_a_forbidden_change_is_denied_even_where_old_and_new_are_both_at_fault() -> None:
    """That the new value is no better a name than the old one does not hide that it may not change."""
    old, new = (manager(storage={"type": "persistent-claim", "storageClassName": name}) for name in ("A", "B"))

    assert denials(judge(new, old, NOWHERE)) == [("storage.class-changed", "spec.manager.storage.storageClassName")]


def test_a_fault_more_of_the_same_kind_is_new() -> None:
    """Two entries that look alike may not hide behind one that was there."""
    twice, thrice = (manager(endpoints=_endpoints(*[("ui", "")] * count)) for count in (2, 3))

    assert [rule == "endpoints.duplicate-name" for rule, _ in denials(judge(thrice, twice, NOWHERE))] == [True]
    assert not denials(judge(twice, thrice, NOWHERE))


def test_scopes_are_known_by_their_text() -> None:
    """With the rule made a denial, a kept scope stays a warning wherever it stands."""
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
def test_an_update_that_leaves_spec_alone_is_passed_over(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Status, labels and finalizers are nobody's fault."""
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
def test_what_is_not_judged_has_no_findings(document: dict[str, Any]) -> None:
    """Other kinds of the group, other groups and terminating objects pass untouched."""
    assert judge(document, None, NOWHERE) == ()


def test_what_follows_from_a_fault_is_not_said_again() -> None:
    """An object without spec lacks its spec, and nothing else is said of it."""
    document = {"apiVersion": "events.ibm.com/v1beta1", "kind": "EventGateway", "metadata": {"name": "a"}}

    assert denials(judge(document, None, NOWHERE)) == [("required.spec", "spec")]
    assert len(judge(document, None, NOWHERE)) == 1


def test_a_placeholder_is_all_that_is_said_of_its_field() -> None:
    """Template text is one finding, not one for each thing that it is not."""
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


def test_a_placeholder_for_a_key_is_found_too() -> None:
    """What is left to fill in may stand where a name stands."""
    instance = manager(template={"annotations": {"<key>": "value"}})

    assert ("structure.placeholder", "spec.manager.template.annotations[<key>]") in denials(
        judge(instance, None, NOWHERE)
    )


@pytest.mark.parametrize(
    ("setting", "expected"), [("deny", (["network.policies-off"], [])), ("warn", ([], ["network.policies-off"]))]
)
def test_a_severity_can_be_changed(setting: str, expected: tuple[list[str], list[str]]) -> None:
    """Configuration makes a rule deny or warn."""
    context = RuleContext(severities=severities_of([f"network.policies-off={setting}"]))
    findings = judge(gateway(deployNetworkPolicies=False), None, context)

    assert expected == ([rule for rule, _ in denials(findings)], [rule for rule, _ in warnings(findings)])


def test_a_rule_that_is_off_says_nothing() -> None:
    """A rule can be switched off, and the last setting for a rule counts."""
    context = RuleContext(severities=severities_of(["required.gatewayID=warn", "required.gatewayID=off"]))

    assert judge(with_value(gateway(), "spec.gatewayID", REMOVED), None, context) == ()


@pytest.mark.parametrize("setting", ["no-such-rule=deny", "network.policies-off=loud", "network.policies-off", ""])
def test_a_setting_that_is_not_understood_is_an_error(setting: str) -> None:
    """Unknown rules and unknown words are named."""
    with pytest.raises(ValueError, match=r"there is no rule|expected deny, warn or off"):
        severities_of([setting])


def test_a_newer_operator_may_know_more() -> None:
    """Above the newest release of the tables a value that they do not know is a warning, if nothing denies it."""
    instance = with_value(manager(), "spec.manager.authConfig.authType", "SAML")
    newer = Version.parse("11.9.0")
    strict = severities_of(["value.manager.authConfig.authType=deny"])
    found = [
        len(denials(judge(instance, None, context)))
        for context in (NOWHERE, RuleContext(version=newer), RuleContext(version=newer, severities=strict))
    ]

    assert found == [1, 0, 1]


def test_unknown_fields_are_named_in_files_only() -> None:
    """The cluster has pruned them already; a file gets the nearest name, the right place, or the version."""
    instance = gateway(gatewayId="a", secretName="b", nonsense={}, traceSpec="x")
    instance["spec"][7] = "a key that is no text"
    instance["spec"]["x" * 100] = ""
    context = RuleContext(version=Version.parse("11.4.0"), offline=True)
    found = {
        finding.field: finding.message.rpartition("drop it")[2]
        for finding in judge(instance, None, context)
        if finding.rule == "structure.unknown-field"
    }

    assert judge(gateway(nonsense={}), None, NOWHERE) == ()
    assert {
        "spec.gatewayId": ": did you mean gatewayID?",
        "spec.secretName": ": did you mean spec.tls.secretName?",
        "spec.nonsense": "",
        "spec[7]": "",
        "spec.traceSpec": ": it came with 11.5.1",
        "spec.manager": ": it came with 11.8.0",
        f"spec[{'x' * 80}...]": "",
    } == found


def test_a_map_holds_texts_only() -> None:
    """A number among labels is found at its key, and a null is dropped as the API server drops it."""
    labels = {"example.com/team": 7, "zone": None, "side": ["left"]}
    found = judge(gateway(template={"labels": labels}), None, NOWHERE)

    assert denials(found) == [
        ("type.template.labels", "spec.template.labels[example.com/team]"),
        ("type.template.labels", "spec.template.labels.side"),
    ]


def test_an_absurd_object_gets_a_bounded_answer() -> None:
    """However many faults there are, the answer stays readable, also for an UPDATE."""
    absurd = manager(endpoints=[{"host": "UI"}] * 3000)
    found = [judge(absurd, None, NOWHERE), judge(absurd, manager(), NOWHERE), judge(manager(), absurd, NOWHERE)]

    assert [len(findings) for findings in found] == [MOST_FINDINGS, MOST_FINDINGS, 0]


def test_messages_are_one_line_of_plain_text() -> None:
    """What users write never breaks the line or the terminal, and is cut where it is long."""
    instance = manager(storage={**CLAIM, "size": "1\n\x1b[31mGi" + "x" * 200})

    messages = [finding.message for finding in judge(instance, None, NOWHERE)]
    assert [message.isprintable() and len(message) < 200 for message in messages] == [True]
