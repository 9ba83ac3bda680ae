"""Large and hostile objects: counted before they are judged, at most 100 faults, and a cost that is linear."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from rules_builders import Instance, context_of, denials, gateway, manager, warnings, with_value

from benchmarks.doubling import MOST, steps_of
from webhook.eem.rules import RuleContext, Violation, judge, severities_of
from webhook.eem.rules.judgement import MOST_VIOLATIONS
from webhook.eem.rules.object_rules import MOST_CHARACTERS, MOST_LEVELS, MOST_VALUES

NOWHERE = RuleContext()
OIDC = {"site": "https://a.example.com", "secretName": "s", "clientIDKey": "i", "clientSecretKey": "k"}
TOO_LARGE = ("structure.too-large", "spec")


def oidc(**fields: Any) -> Instance:
    return manager(authConfig={"authType": "OIDC", "oidcConfig": {**OIDC, **fields}})


def telemetry(*names: str) -> Instance:
    settings = {"endpoint": "https://otel.example.com", "metricsEnablement": [{"name": name} for name in names]}
    return manager(openTelemetry=settings)


def endpoints(count: int) -> Instance:
    return manager(endpoints=[{"name": f"n{number}", "host": f"h{number}.example.com"} for number in range(count)])


def nested(levels: int) -> Instance:
    node: dict[str, Any] = {}
    for _ in range(levels):
        node = {"below": node}
    return manager(template={"pod": {"spec": node}})


def ends_of(violations: tuple[Violation, ...]) -> list[str]:
    return [violation.message for violation in violations if violation.message.startswith("and more")]


# Objects of hostile hands: the API server admits the second part of them, the first part is forged.
TOO_WIDE: dict[str, Callable[[], Instance]] = {
    "7 MiB of numbers in a list": lambda: manager(tls={"trustedCertificates": [1] * 3_500_000}),
    "a million labels of the template": lambda: manager(template={"labels": dict.fromkeys(range(1_000_000), "v")}),
    "170,000 scopes": lambda: oidc(additionalScopes=["scope"] * 170_000),
    "70,000 switches": lambda: telemetry(*("manager",) * 70_000),
    "25,000 endpoints": lambda: endpoints(25_000),
    "a pod template of 2 MiB": lambda: manager(template={"pod": {"spec": {"text": "x" * 2**21}}}),
    "a map key of 2 MiB": lambda: manager(template={"pod": {"spec": {"k" * 2**21: ""}}}),
    "a thousand levels": lambda: nested(1000),
}


@pytest.mark.parametrize("shape", TOO_WIDE)
def test_an_object_that_is_too_large_is_denied_after_counting(shape: str) -> None:
    """The one fault says what there is too much of, and no rule looks at the object."""
    instance = TOO_WIDE[shape]()
    found = judge(instance, None, NOWHERE)

    assert denials(found) == [TOO_LARGE]
    assert len(found) == 1
    assert "not evaluated, so it is denied" in found[0].message
    assert steps_of(lambda: judge(instance, None, NOWHERE)) <= 2 * MOST_VALUES


@pytest.mark.parametrize("setting", ["warn", "off"])
def test_no_setting_allows_an_object_that_is_too_large(setting: str) -> None:
    """What is not evaluated is not allowed, whatever is set for the rule."""
    context = RuleContext(severities=severities_of([f"structure.too-large={setting}"]))

    assert denials(judge(endpoints(25_000), None, context)) == [TOO_LARGE]


def test_an_object_at_every_limit_is_judged() -> None:
    """The limits themselves are allowed; one value, level or character more is not."""
    wide = manager(template={"pod": {"spec": {"values": []}}})
    others = (
        2 + 4 + 3 + 1 + 1 + 1 + 1 + 1 + 1
    )  # spec, license, manager, authConfig, storage, template, pod, spec, values
    values = wide["spec"]["manager"]["template"]["pod"]["spec"]["values"]
    values.extend([0] * (MOST_VALUES - others + 1))

    assert denials(judge(wide, None, NOWHERE)) == []
    values.append(0)
    assert denials(judge(wide, None, NOWHERE)) == [TOO_LARGE]


def test_a_deep_object_is_counted_and_compared_without_recursion() -> None:
    """An object that is nested more deeply than Python compares is denied for its size, at an UPDATE too."""
    assert denials(judge(nested(MOST_LEVELS - 10), None, NOWHERE)) == []
    assert denials(judge(nested(100_000), nested(100_000), NOWHERE)) == [TOO_LARGE]


def test_an_update_that_leaves_a_large_spec_as_it_is_violates_nothing() -> None:
    """Finalizers and labels of an instance that is stored and too large can change."""
    old, new = endpoints(25_000), endpoints(25_000)
    new["metadata"] = {**new["metadata"], "finalizers": []}

    assert judge(new, old, NOWHERE) == ()


def test_an_update_of_an_object_that_was_too_large_is_judged_as_if_all_faults_were_new() -> None:
    """The old object is not evaluated, so it excuses no fault; without a fault, the smaller object is allowed."""
    old, faulty = endpoints(25_000), manager(endpoints=[{"name": "n1", "host": "h1.example.com"}])

    assert denials(judge(manager(), old, NOWHERE)) == []
    assert [rule for rule, _ in denials(judge(faulty, old, NOWHERE))] == ["endpoints.unknown-name"]


@pytest.mark.parametrize("old", [None, manager()], ids=["CREATE", "UPDATE"])
def test_at_most_100_denials_are_listed(old: Instance | None) -> None:
    """The judgement stops after 100 denials, and one more entry says that there are more."""
    found = judge(manager(endpoints=[{"host": "UI"}] * 2000), old, NOWHERE)

    assert len(denials(found)) == MOST_VIOLATIONS + 1
    assert ends_of(found) == ["and more: only the first 100 denials are listed"]
    assert found[MOST_VIOLATIONS].fault.field == "spec"


def test_exactly_100_denials_are_listed_without_a_last_entry() -> None:
    """Nothing is left out, so nothing says so."""
    found = judge(manager(tls={"trustedCertificates": [1] * 100}), None, NOWHERE)

    assert (len(denials(found)), ends_of(found)) == (100, [])


def test_a_denial_after_many_warnings_is_found() -> None:
    """Only 100 warnings are listed, and the judgement goes on to find every denial."""
    scopes = oidc(additionalScopes=["a b"] * 2000)
    scopes["spec"]["manager"]["tls"] = {"trustedCertificates": [{"secretName": "a", "certificate": "b"}] * 10}
    scopes["spec"]["manager"]["template"] = {
        "pod": {"spec": {"containers": [{"name": "manager", "resources": {"limits": {"cpu": "much"}}}]}}
    }
    found = judge(scopes, None, NOWHERE)

    assert [rule for rule, _ in denials(found)] == ["template.not-a-quantity"]
    assert len(warnings(found)) == MOST_VIOLATIONS + 1
    assert ends_of(found) == ["and more: only the first 100 warnings are listed"]


def test_a_new_fault_after_many_old_ones_is_found() -> None:
    """Old faults are warnings, so they do not end the judgement before the new one."""
    faulty = [{"secretName": f"n{number}", "certificate": "/"} for number in range(500)]
    old = manager(tls={"trustedCertificates": faulty})
    new = manager(tls={"trustedCertificates": [*faulty, {"secretName": "new", "certificate": "/"}]})

    assert denials(judge(new, old, NOWHERE)) == [
        ("format.manager.tls.trustedCertificates.certificate", "spec.manager.tls.trustedCertificates[500].certificate")
    ]


def test_an_old_fault_after_many_warnings_is_an_old_one() -> None:
    """The warnings of the old object do not count as its faults."""
    faulty = {"pod": {"spec": {"containers": [{"name": "manager", "resources": {"limits": {"cpu": "much"}}}]}}}
    old = oidc(additionalScopes=["a b"] * 2000)
    old["spec"]["manager"]["template"] = faulty
    new = with_value(old, "spec.manager.traceSpec", "info")

    assert denials(judge(new, old, NOWHERE)) == []


def test_only_500_faults_of_the_old_object_are_known() -> None:
    """An object with more faults must lose some of them before another field can change."""
    faulty = [{"secretName": f"n{number}", "certificate": "/"} for number in range(600)]
    old = manager(tls={"trustedCertificates": faulty})

    assert len(denials(judge(with_value(old, "spec.manager.traceSpec", "info"), old, NOWHERE))) == 100


LONGEST = MOST_CHARACTERS - 1000  # characters of one text: the rest of the object has fewer than the difference
MOST_STEPS = 450_000  # lines and calls of one judgement, of two in an UPDATE: less than 50 ms
# Shapes within the limits, by their size: the cost may grow with the size, and not faster.
SHAPES: dict[str, Callable[[int], Instance]] = {
    "numbers in a list": lambda size: manager(tls={"trustedCertificates": [1] * size}),
    "empty certificates": lambda size: manager(tls={"trustedCertificates": [{}] * size}),
    "scopes": lambda size: oidc(additionalScopes=["scope"] * size),
    "faulty scopes": lambda size: oidc(additionalScopes=["a b"] * size),
    "switches": lambda size: telemetry(*(f"m{number}" for number in range(size // 2))),
    "endpoints": lambda size: endpoints(size // 3),
    "endpoints with one host": lambda size: manager(
        endpoints=[{"name": f"n{number}", "host": "h.example.com"} for number in range(size // 3)]
    ),
    "labels": lambda size: manager(template={"labels": {f"k{number}": "v" for number in range(size)}}),
    "containers": lambda size: manager(
        template={"pod": {"spec": {"containers": [{"name": "manager", "resources": {}}] * (size // 3)}}}
    ),
    "placeholders in a template": lambda size: manager(
        template={"pod": {"spec": {"args": ["<a", "<b>"] * (size // 2)}}}
    ),
}

# A text of the largest size. A pattern that began a search at each of its characters would take hours.
TEXTS: dict[str, Callable[[], Instance]] = {
    "a pointer": lambda: oidc(authorizationClaimPointer="/~0" * (LONGEST // 3)),
    "brackets": lambda: manager(traceSpec="<a" * (LONGEST // 2)),
    "long brackets": lambda: manager(traceSpec=("<" + "a" * 101) * (LONGEST // 102)),
    "a host": lambda: manager(endpoints=[{"name": "ui", "host": "a." * (LONGEST // 2)}]),
    "a URL": lambda: oidc(site="https://" + "a" * LONGEST),
    "a quantity": lambda: manager(storage={"type": "persistent-claim", "size": "1" * LONGEST}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_update", [False, True], ids=["CREATE", "UPDATE"])
def test_the_cost_is_linear_in_the_size_of_the_object(shape: str, *, is_update: bool) -> None:
    """An object of the double size takes at most 2.2 times the steps, and never more than one limit."""
    small, large = (SHAPES[shape](size) for size in (2300, 4600))
    olds = [with_value(instance, "spec.license.metric", "") if is_update else None for instance in (small, large)]
    costs = [steps_of(partial(judge, new, old, NOWHERE)) for new, old in zip((small, large), olds, strict=True)]

    assert costs[1] <= MOST * costs[0]
    assert costs[1] <= MOST_STEPS


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("is_update", [False, True], ids=["CREATE", "UPDATE"])
def test_the_longest_texts_are_judged(text: str, *, is_update: bool) -> None:
    """The judgement ends, and is about the text."""
    instance = TEXTS[text]()
    old = with_value(instance, "spec.license.metric", "") if is_update else None

    assert TOO_LARGE not in denials(judge(instance, old, NOWHERE))


def test_more_neighbours_do_not_cost_more() -> None:
    """The rules look up what they need of a thousand other instances."""
    mine = gateway("mine")

    def steps_with(count: int) -> float:
        context = context_of([gateway(f"g{number}", gatewayID=f"id{number}") for number in range(count)])
        judge(mine, None, context)  # what is worked out once for each snapshot does not count
        return steps_of(lambda: judge(mine, None, context))

    assert steps_with(1000) == steps_with(2)


def test_the_characters_of_an_object_are_limited() -> None:
    """A text of the limit is judged, and one that is longer in all is denied."""
    fits = manager(traceSpec="x" * (MOST_CHARACTERS - 1000))
    too_long = manager(traceSpec="x" * MOST_CHARACTERS)

    assert [denials(judge(instance, None, NOWHERE)) for instance in (fits, too_long)] == [[], [TOO_LARGE]]
