"""An order of several changes in which no step interrupts required ingress."""

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    admin_policy,
    eem_labels,
    expression,
    from_,
    instance,
    namespace,
    namespaces,
    pod,
    policy,
    port,
    rule,
    selector,
    workload,
)

from webhook.admission import Options
from webhook.admission.plan import MOST_EXACT, Plan, independent, plan
from webhook.admission.trial import ObjectChange, attempt
from webhook.eem import EemSnapshot

GATEWAY = instance("gw", kind=GATEWAY_KIND)
GATEWAY_POD = pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw"))
STATE = (namespace("eem"), GATEWAY, GATEWAY_POD)
DENY = policy("default-deny", policy_types=["Ingress"])


def allow(name: str, *ports: int, instance_name: str = "gw") -> ApiObject:
    """Make a policy that opens ports of an instance to everyone."""
    rules = [from_(ports=[port(number, "TCP")]) for number in ports]
    return policy(name, pod_selector=selector(**eem_labels(instance_name)), ingress=rules)


def create(api_object: ApiObject) -> ObjectChange:
    return ObjectChange(old=None, new=api_object)


def update(old: ApiObject, new: ApiObject) -> ObjectChange:
    return ObjectChange(old=old, new=new)


def delete(api_object: ApiObject) -> ObjectChange:
    return ObjectChange(old=api_object, new=None)


def planned(changes: list[ObjectChange], *state: ApiObject, options: Options | None = None) -> Plan:
    return plan(changes, EemSnapshot.from_objects(state), options or Options())


def order(found: Plan) -> list[str]:
    """Return the steps in words, a temporary one with a star."""
    return [
        f"{step.change.operation} {step.change.resource.name}{'*' if step.is_temporary else ''}" for step in found.steps
    ]


def test_an_order_that_is_safe_as_given_is_kept() -> None:
    """The allow comes first, as it does in the input."""
    found = planned([create(allow("allow-kafka", 8092)), create(DENY)], *STATE)

    assert found.is_complete
    assert order(found) == ["CREATE allow-kafka", "CREATE default-deny"]


def test_an_allow_is_moved_before_the_default_deny_that_needs_it() -> None:
    """The given order would close the port for a moment."""
    found = planned([create(DENY), create(allow("allow-kafka", 8092))], *STATE)

    assert found.is_complete
    assert order(found) == ["CREATE allow-kafka", "CREATE default-deny"]


def test_the_new_policy_is_applied_before_the_old_one_is_deleted() -> None:
    """A renamed policy is a deletion and a creation, in the order that keeps the port open."""
    old, new = allow("old", 8092), allow("new", 8092)

    found = planned([delete(old), create(new)], *STATE, DENY, old)

    assert order(found) == ["CREATE new", "DELETE old"]


def test_two_policies_that_exchange_their_ports_need_a_temporary_one() -> None:
    """Whichever is changed first closes a port; the remedy of the refusal bridges the gap and is deleted at the end."""
    manager, manager_pod = instance("mgr"), pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"))
    one, other = allow("one", 3000, instance_name="mgr"), allow("other", 8081, instance_name="mgr")
    swapped = (
        update(one, allow("one", 8081, instance_name="mgr")),
        update(other, allow("other", 3000, instance_name="mgr")),
    )

    found = planned([*swapped], namespace("eem"), manager, manager_pod, one, other)

    assert not found.is_complete
    assert {step.change.resource.name for step in found.blocked} == {"one", "other"}
    assert all(step.trial.verdict.lost for step in found.blocked)
    assert len(found.temporary) == 1
    assert [name.partition(" ")[0] for name in order(found)] == ["CREATE", "UPDATE", "UPDATE", "DELETE"]
    assert all(step.trial.is_safe for step in found.steps)


def test_a_temporary_policy_that_another_one_makes_redundant_is_left_out() -> None:
    """The first refusal asks for one that is not needed once the exchange behind it is bridged."""
    manager, second = instance("mgr"), instance("gw2", kind=GATEWAY_KIND)
    pods = [
        pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr")),
        pod("gw2-ibm-egw-gateway-0", labels=eem_labels("gw2")),
    ]
    opens_manager = allow("p", 3000, 8081, instance_name="mgr")
    opens_gateway, opens_second = allow("q", 8092), allow("r", 8092, instance_name="gw2")
    opens_gateways = policy(
        "p", pod_selector=selector(expression("events", "DoesNotExist")), ingress=[from_(ports=[port(8092, "TCP")])]
    )
    changes = [
        delete(opens_second),
        update(opens_manager, opens_gateways),
        update(opens_gateway, allow("q", 3000, 8081, instance_name="mgr")),
    ]

    found = planned(changes, *STATE, manager, second, *pods, DENY, opens_manager, opens_gateway, opens_second)

    assert [step.change.resource.name for step in found.blocked] == ["r", "p", "q"]
    assert [step.change.resource.name for step in found.temporary] == ["allow-mgr-manager-temporary"]
    assert all(step.trial.is_safe for step in found.steps)


def test_temporary_policies_have_names_of_their_own() -> None:
    """A policy of the changes would otherwise be replaced by one, and one by another."""
    manager, manager_pod = instance("mgr"), pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"))
    names = ("allow-mgr-manager-temporary", "allow-mgr-manager-temporary-2")
    sides = [
        [allow(name, number, instance_name="mgr") for name, number in zip(names, ports, strict=True)]
        for ports in ((3000, 8081), (8081, 3000))
    ]

    found = planned(list(map(update, *sides)), namespace("eem"), manager, manager_pod, *sides[0])

    assert [step.change.resource.name for step in found.temporary] == ["allow-mgr-manager-temporary-3"]


def test_an_order_is_sought_from_every_set_of_changes_once() -> None:
    """Two harmless changes in either order lead to the same set, from which the default deny is not safe."""
    harmless = [create(allow(name, 9999, instance_name=name)) for name in ("a", "b")]

    found = planned([*harmless, create(DENY)], *STATE)

    assert not found.is_complete


def test_a_temporary_policy_that_does_not_help_is_not_in_the_plan() -> None:
    """The end state itself closes the port: no order and no temporary policy keeps it open."""
    found = planned([create(DENY), create(allow("unrelated", 9999))], *STATE)

    assert not found.is_complete
    assert found.is_exact
    assert not found.temporary
    assert [step.change.resource.name for step in found.blocked] == ["default-deny", "unrelated"]


def test_the_last_temporary_policy_may_be_needed_after_the_changes() -> None:
    """Its deletion would close the port, so the plan without temporary policies is returned."""
    found = planned([create(DENY)], *STATE)

    assert (order(found), [step.change.resource.name for step in found.blocked]) == ([], ["default-deny"])


def test_changes_of_different_namespaces_are_planned_apart() -> None:
    """Each group keeps its order, and the groups come in the order of their first changes."""
    elsewhere = [create(policy(f"p{number}", namespace="shop")) for number in range(2)]
    here = [create(DENY), create(allow("allow-kafka", 8092))]

    groups = list(independent([elsewhere[0], *here, elsewhere[1]]))

    assert groups == [(elsewhere[0], elsewhere[1]), tuple(here)]


def test_a_change_of_a_namespace_may_affect_all_others() -> None:
    """Its labels are what policies of every namespace can select by."""
    changes = [update(namespace("shop"), namespace("shop", labels={"team": "shop"})), create(DENY)]

    assert list(independent(changes)) == [tuple(changes)]


def test_many_changes_are_ordered_without_trying_all_orders() -> None:
    """Beyond the exact limit the first safe change is applied, over and over."""
    allows = [allow(f"allow-{number}", 8092) for number in range(MOST_EXACT)]

    found = planned([create(DENY), *map(create, allows)], *STATE)

    assert found.is_complete
    assert order(found)[:2] == ["CREATE allow-0", "CREATE default-deny"]
    assert len(found.steps) == MOST_EXACT + 1


def test_an_order_that_is_not_found_among_many_changes_is_not_proven_missing() -> None:
    """The plan says so."""
    found = planned([create(DENY), *(create(allow(f"p{number}", 9999)) for number in range(MOST_EXACT))], *STATE)

    assert (found.is_complete, found.is_exact) == (False, False)


def test_mode_warn_does_not_make_an_interruption_safe() -> None:
    """The webhook would allow the change with a warning, and the port would close all the same."""
    found = planned([create(DENY)], *STATE, options=Options(mode="warn"))

    assert not found.is_complete


def test_a_relabelled_workload_waits_for_the_policy_that_opens_its_new_pods() -> None:
    """The webhook does not judge workloads, but their labels decide which policies select their pods."""
    old = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="old"))
    new = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="new"))
    narrow = policy("allow-old", pod_selector=selector(tier="old"), ingress=[from_()])
    wide = policy("allow-new", pod_selector=selector(tier="new"), ingress=[from_()])

    found = planned([update(old, new), create(wide)], namespace("eem"), GATEWAY, old, DENY, narrow)

    assert order(found) == ["CREATE allow-new", "UPDATE gw-ibm-egw-gateway"]


def test_a_relabelled_workload_without_such_a_policy_is_named() -> None:
    """What it interrupts is in the trial, because there is no refusal."""
    old = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="old"))
    new = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="new"))
    narrow = policy("allow-old", pod_selector=selector(tier="old"), ingress=[from_()])

    found = planned([update(old, new)], namespace("eem"), GATEWAY, old, DENY, narrow)

    assert [(one.component.value, one.port) for one in found.blocked[0].trial.interrupted] == [("gateway", 8092)]


@pytest.mark.parametrize("sources", ["anywhere", "some"])
def test_a_narrower_requirement_is_compared_as_the_namespace_demands(sources: str) -> None:
    """With `some`, pods that are still open to one source are not interrupted."""
    annotated = namespace("eem", annotations={"eem-guardrail.io/sources": sources})
    old = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="old"))
    new = workload("gw-ibm-egw-gateway", labels=eem_labels("gw", tier="new"))
    everyone = policy("allow-old", pod_selector=selector(tier="old"), ingress=[from_()])
    few = policy("allow-new", pod_selector=selector(tier="new"), ingress=[from_({"podSelector": {}})])
    snapshot = EemSnapshot.from_objects([annotated, GATEWAY, old, DENY, everyone, few])

    trial = attempt(update(old, new), snapshot, Options())

    assert bool(trial.interrupted) is (sources == "anywhere")


def test_an_instance_that_is_created_interrupts_nothing() -> None:
    """Its requirement did not exist before, and other instances are as they were."""
    manager = instance("mgr")

    trial = attempt(create(manager), EemSnapshot.from_objects([*STATE, DENY]), Options())

    assert trial.interrupted == ()


def test_what_happens_in_namespaces_without_eem_interrupts_nothing() -> None:
    """A namespace whose first instance is created has nothing to lose either."""
    snapshot = EemSnapshot.from_objects([namespace("eem"), DENY])

    assert attempt(create(GATEWAY), snapshot, Options()).interrupted == ()


DENIES_CLOSED = admin_policy(
    subject={"namespaces": {"matchLabels": {"zone": "closed"}}}, ingress=[rule("Deny", namespaces())]
)
ALLOWS_OPEN = admin_policy(
    subject={"namespaces": {"matchLabels": {"zone": "open"}}}, ingress=[rule("Allow", namespaces())]
)


@pytest.mark.parametrize(
    ("policies", "zones", "interrupted"),
    [
        pytest.param([DENIES_CLOSED], ("open", "closed"), [8092], id="a tier denies what it left alone"),
        pytest.param([DENIES_CLOSED], ("open", "other"), [], id="a tier goes on leaving it alone"),
        pytest.param([DENIES_CLOSED], ("closed", "open"), [], id="a tier denies it no more"),
        pytest.param([ALLOWS_OPEN, DENY], ("open", "closed"), [8092], id="a tier allows it no more"),
        pytest.param([ALLOWS_OPEN], ("open", "closed"), [], id="what a tier allowed is open without it"),
    ],
)
def test_labels_of_a_namespace_interrupt_what_a_tier_decides_by_them(
    policies: list[ApiObject], zones: tuple[str, str], interrupted: list[int]
) -> None:
    """Admin policies select namespaces by their labels; the NetworkPolicies stay as they are."""
    old, new = (namespace("eem", labels={"zone": zone}) for zone in zones)
    snapshot = EemSnapshot.from_objects([old, GATEWAY, GATEWAY_POD, *policies])

    trial = attempt(update(old, new), snapshot, Options())

    assert [one.port for one in trial.interrupted] == interrupted
