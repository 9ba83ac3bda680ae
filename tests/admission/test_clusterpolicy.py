"""Changes under cluster-wide policies, and changes of cluster-wide policies, over every namespace with EEM."""

from collections.abc import Callable
from typing import Any, Literal

import builders as b
import pytest

from admission.reviews import (
    GATEWAY_POD,
    allow,
    asked,
    default_deny,
    gateway,
    gateway_pod,
    judged,
    lost_ports,
    manager,
    manager_pod,
    verdict_of,
    world,
)
from webhook.admission import AdmissionResponse, Options, ReviewError
from webhook.admission.audit import audit
from webhook.admission.clusterpolicy import decide_cluster_policy
from webhook.admission.impact import impact
from webhook.admission.trial import ObjectChange, attempt
from webhook.eem import EemSnapshot

EEM = [b.namespace(), b.namespace("shop", labels={"team": "shop"}), gateway(), gateway_pod()]
EVERYONE = allow()
CLIENTS = b.pods(b.selector(app="client"))


def anp(*rules: b.Node, name: str = "guard", **fields: Any) -> b.ApiObject:
    return b.admin_policy(name, ingress=list(rules), **fields)


def cnp(*rules: b.Node, name: str = "guard", **fields: Any) -> b.ApiObject:
    return b.cluster_policy(name, ingress=list(rules), **fields)


DENY_ALL, ALLOW_ALL = b.rule("Deny", b.namespaces()), b.rule("Allow", b.namespaces())
DENY_PORT = b.rule("Deny", b.namespaces(), ports=[{"portNumber": {"port": 1}}])
DENY_OUT = b.rule("Deny", b.namespaces(), field="to")
DENY_SHOP = b.rule("Deny", b.namespaces(team="shop"), name="no shop")


def changed(
    snapshot: EemSnapshot, new: b.ApiObject | None, old: b.ApiObject | None = None, options: Options | None = None
) -> AdmissionResponse:
    return decide_cluster_policy(asked(new, old), snapshot, options or Options())


# A change of a NetworkPolicy under tiers


@pytest.mark.parametrize(
    ("policies", "is_allowed"),
    [
        pytest.param([], False, id="without tiers the deletion cuts everyone off"),
        pytest.param([anp(ALLOW_ALL)], False, id="an Admin Allow holds it open for pods, not for addresses"),
        pytest.param([anp(DENY_ALL)], False, id="an Admin Deny already closes it for pods, not for addresses"),
        pytest.param([anp(DENY_SHOP)], False, id="a Deny for others changes nothing"),
        pytest.param([anp(b.rule("Pass", b.namespaces()))], False, id="Pass leaves it to NetworkPolicies"),
    ],
)
def test_deleting_the_policy_that_allows_everyone(policies: list[b.ApiObject], is_allowed: bool) -> None:  # noqa: FBT001
    """Addresses outside are never matched by ingress rules, so the policy is still needed for them."""
    response = judged(world(*EEM, default_deny(), EVERYONE, *policies), None, EVERYONE)

    assert is_allowed is response.allowed


FROM_PODS = allow("allow-clients", b.peer(namespaces={}))


@pytest.mark.parametrize(
    ("policies", "is_allowed"),
    [
        pytest.param([], False, id="without tiers the deletion cuts all pods off"),
        pytest.param([anp(ALLOW_ALL)], True, id="an Admin Allow holds it open: the deletion cuts nothing off"),
        pytest.param([anp(DENY_ALL)], True, id="an Admin Deny closes it: it was broken before"),
        pytest.param([anp(b.rule("Allow", b.namespaces(team="shop")))], False, id="an Allow for some is not enough"),
        pytest.param([anp(b.rule("Pass", b.namespaces()), ALLOW_ALL)], False, id="Pass before the Allow"),
        pytest.param([anp(ALLOW_ALL, subject=b.namespaces(team="shop"))], False, id="an Allow for other subjects"),
        pytest.param(
            [anp(b.rule("Allow", b.namespaces(), ports=[{"portNumber": {"port": 1}}]))], False, id="for another port"
        ),
        pytest.param([cnp(b.rule("Accept", b.namespaces()))], True, id="ClusterNetworkPolicy is the same"),
        pytest.param([b.baseline_policy(ingress=[ALLOW_ALL])], False, id="Baseline is not asked: a policy isolates"),
    ],
)
def test_deleting_the_policy_that_allows_pods(policies: list[b.ApiObject], is_allowed: bool) -> None:  # noqa: FBT001
    """What a tier decides, no NetworkPolicy changes."""
    response = judged(world(*EEM, default_deny(), FROM_PODS, *policies), None, FROM_PODS)

    assert is_allowed is response.allowed


def test_a_port_that_a_tier_closes_was_not_open() -> None:
    """The warning names the rule's policy, not the NetworkPolicies."""
    response = judged(world(*EEM, default_deny(), FROM_PODS, anp(DENY_ALL)), None, FROM_PODS)

    assert response.warnings == (
        "eem/gw gateway TCP/8092 was not open as required and still is not (denied by AdminNetworkPolicy/guard)",
    )


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        pytest.param(anp(ALLOW_ALL, priority=100), "AdminNetworkPolicy/guard: OVN-Kubernetes does not apply", id="100"),
        pytest.param(
            cnp(b.rule("Accept", {"x": {}})), "ClusterNetworkPolicy/guard: it has a field that cannot be read", id="x"
        ),
    ],
)
def test_a_tier_that_may_hold_it_open(policy: b.ApiObject, why: str) -> None:
    """Where a tier may accept the pods, the deletion is not refused; the warning says what is not known."""
    snapshot = world(*EEM, default_deny(), FROM_PODS).with_object(policy)
    response = judged(snapshot, None, FROM_PODS)

    assert response.allowed
    assert why in response.warnings[0]
    assert not judged(snapshot, None, FROM_PODS, options=Options(strict=True)).allowed


def test_the_last_isolating_policy_over_a_baseline() -> None:
    """Where no policy isolates any more, the Baseline tier is asked, and it may close what was open."""
    policy = allow("allow-clients", b.peer(namespaces={}), b.block("0.0.0.0/0"))
    baseline = b.baseline_policy(ingress=[DENY_SHOP])
    response = judged(world(*EEM, policy, baseline), None, policy)

    assert not response.allowed
    assert "denied by BaselineAdminNetworkPolicy/default" in response.message
    assert judged(world(*EEM, policy), None, policy).allowed


def test_a_new_policy_over_a_baseline() -> None:
    """A pod that Baseline denied loses nothing when a policy isolates; what it did not deny is lost."""
    only_shop = allow(
        "allow-clients", b.peer(namespaces=b.selector(b.expression("team", "NotIn", "x"))), b.block("0.0.0.0/0")
    )
    closed = b.baseline_policy(ingress=[b.rule("Deny", b.namespaces(team="x"))])

    assert judged(world(*EEM, closed), only_shop).allowed
    assert not judged(world(*EEM), only_shop, options=Options(ipblock_matches_pods="no")).allowed


# A change of a cluster-wide policy


@pytest.mark.parametrize(
    ("policies", "new", "old", "lost"),
    [
        pytest.param([], anp(DENY_ALL), None, [("gw", 8092)], id="a new Deny"),
        pytest.param([], cnp(b.rule("Deny", b.namespaces())), None, [("gw", 8092)], id="of the newer kind"),
        pytest.param([], b.baseline_policy(ingress=[DENY_ALL]), None, [("gw", 8092)], id="Baseline, nothing isolates"),
        pytest.param([EVERYONE], b.baseline_policy(ingress=[DENY_ALL]), None, [], id="Baseline, a policy isolates"),
        pytest.param([EVERYONE], anp(DENY_ALL), None, [("gw", 8092)], id="a Deny beats the policy that allows"),
        pytest.param([default_deny()], anp(DENY_ALL), None, [], id="it was closed before"),
        pytest.param([], anp(DENY_ALL, subject=b.namespaces(team="shop")), None, [], id="other subjects"),
        pytest.param(
            [], anp(b.rule("Deny", b.namespaces(), ports=[{"portNumber": {"port": 1}}])), None, [], id="other port"
        ),
        pytest.param([anp(ALLOW_ALL, name="a", priority=1)], anp(DENY_ALL), None, [], id="an Allow before it"),
        pytest.param([anp(DENY_ALL, name="a", priority=1)], anp(DENY_ALL), None, [], id="a Deny before it"),
        pytest.param([default_deny(), anp(ALLOW_ALL)], None, anp(ALLOW_ALL), [("gw", 8092)], id="the Allow is deleted"),
        pytest.param([EVERYONE, anp(ALLOW_ALL)], None, anp(ALLOW_ALL), [], id="a policy allows the same"),
        pytest.param([anp(ALLOW_ALL)], anp(DENY_SHOP), anp(ALLOW_ALL), [("gw", 8092)], id="an Allow becomes a Deny"),
        pytest.param([anp(DENY_ALL)], anp(DENY_SHOP), anp(DENY_ALL), [], id="a Deny of all becomes one of some"),
        pytest.param([anp(DENY_SHOP)], anp(DENY_ALL), anp(DENY_SHOP), [("gw", 8092)], id="a Deny of some, of all"),
        pytest.param([anp(DENY_ALL)], None, anp(DENY_ALL), [], id="a Deny is deleted"),
        pytest.param(
            [anp(DENY_ALL, name="b", priority=9), anp(ALLOW_ALL, priority=5)],
            anp(ALLOW_ALL, priority=10),
            anp(ALLOW_ALL, priority=5),
            [("gw", 8092)],
            id="an Allow moves behind a Deny",
        ),
        pytest.param(
            [], b.admin_policy("guard", egress=[b.rule("Deny", b.namespaces(), field="to")]), None, [], id="egress"
        ),
    ],
)
def test_changes(
    policies: list[b.ApiObject], new: b.ApiObject | None, old: b.ApiObject | None, lost: list[tuple[str, int]]
) -> None:
    """A change is refused if and only if a source is surely cut off by it."""
    response = changed(world(*EEM, *policies), new, old)

    assert response.allowed is (lost == [])
    assert lost == lost_ports(response)


def test_the_refusal() -> None:
    """The message names the policy, the rule's effect, an example, and what to do."""
    response = changed(world(*EEM, EVERYONE, b.pod("orders", "shop")), anp(DENY_SHOP))

    assert response.message == (
        "creating AdminNetworkPolicy guard would cut off required ingress: EventGateway eem/gw: gateway TCP/8092 of "
        f"pod {GATEWAY_POD} could not be reached from pod shop/orders, denied by AdminNetworkPolicy/guard. "
        "First add an earlier rule that accepts TCP/8092 to these pods, or exclude these pods from its subject. "
        "Or set spec.deployNetworkPolicies: false on EventGateway gw: then you must open these ports yourself."
    )
    assert verdict_of(response).lost[0].remedy is None


def namespaces_with_eem(count: int) -> list[b.ApiObject]:
    return [
        one
        for number in range(count)
        for one in (
            b.namespace(f"eem-{number:04}"),
            gateway(namespace=f"eem-{number:04}"),
            manager(namespace=f"eem-{number:04}"),
            gateway_pod(namespace=f"eem-{number:04}"),
            manager_pod(namespace=f"eem-{number:04}"),
        )
    ]


def test_many_namespaces() -> None:
    """The refusal names the worst namespace and counts the others."""
    more = [b.namespace("z"), gateway(namespace="z")]
    response = changed(world(*namespaces_with_eem(3), *more), anp(DENY_ALL))

    assert lost_ports(response) == [("gw", 8092), ("mgr", 3000), ("mgr", 8081)]
    assert {lost.instance.namespace for lost in verdict_of(response).lost} == {"eem-0000"}
    assert "; and required ingress in 3 other namespaces." in response.message
    assert "; and required ingress in 1 other namespace." in changed(world(*EEM, *more), anp(DENY_ALL)).message


@pytest.mark.parametrize(
    ("mode", "result"),
    [("enforce", "denied"), ("warn", "warned"), ("audit", "audited")],
)
def test_each_namespace_has_its_mode(mode: Literal["enforce", "warn", "audit"], result: str) -> None:
    """A namespace in warn or audit is no reason to refuse; one in enforce is, whatever the others are."""
    annotated = b.namespace("a", annotations={"eem-guardrail.io/mode": mode})
    response = changed(world(annotated, gateway(namespace="a")), anp(DENY_ALL))
    beside = changed(world(annotated, gateway(namespace="a"), *EEM), anp(DENY_ALL))

    assert (response.allowed, response.result) == (mode != "enforce", result)
    assert not beside.allowed


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (anp(DENY_ALL, priority=100), "OVN-Kubernetes does not apply an AdminNetworkPolicy with a priority above 99"),
        (cnp(b.rule("Deny", {"x": {}})), "it has a field that cannot be read (spec.ingress[0].from[0])"),
    ],
)
def test_what_may_be_cut_off(policy: b.ApiObject, why: str) -> None:
    """What may be lost is a warning with what is not known; under --strict it is refused."""
    snapshot = world(*EEM, *namespaces_with_eem(1))
    response = changed(snapshot, policy)

    assert response.allowed
    assert why in response.warnings[0]
    assert response.warnings[-1] == "and the like in 1 other namespaces with EEM"
    assert not changed(snapshot, policy, options=Options(strict=True)).allowed


def test_equal_priorities() -> None:
    """A Deny beside an Allow of its priority may be asked first: a warning."""
    response = changed(world(*EEM, anp(ALLOW_ALL, name="a")), anp(DENY_ALL))

    assert response.allowed
    assert "the order of two policies with one priority" in response.warnings[0]


def test_the_operator_needs_some_source() -> None:
    """The operator's port needs one source, and addresses outside are never denied."""
    snapshot = world(b.namespace(), b.operator_deployment())

    assert changed(snapshot, anp(DENY_ALL)).allowed


def test_instances_without_policies_of_their_own_are_exempt() -> None:
    """Who switches the policies off needs nothing."""
    assert changed(world(b.namespace(), gateway(deploy_network_policies=False)), anp(DENY_ALL)).allowed


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"username": "system:serviceaccount:kube-system:generic-garbage-collector"}, "garbage-collector"),
        ({"sub_resource": "status"}, "status"),
    ],
)
def test_exempt_requests(fields: dict[str, Any], reason: str) -> None:
    """Requests that are never refused for NetworkPolicies are not refused here."""
    request = asked(anp(DENY_ALL), anp(ALLOW_ALL), **fields)

    assert decide_cluster_policy(request, world(*EEM), Options()).audit_annotations == {"exempt": reason}


def test_an_update_that_leaves_the_spec_alone() -> None:
    """A change of labels is not evaluated."""
    assert changed(world(*EEM), anp(DENY_ALL), anp(DENY_ALL)).audit_annotations == {"exempt": "spec-unchanged"}


@pytest.mark.parametrize(
    ("request_of", "path"),
    [
        (lambda: asked(default_deny()), "request.kind.kind"),
        (lambda: asked(anp(DENY_ALL), object=None), "request.object"),
        (lambda: asked(anp(DENY_ALL), operation="CONNECT"), "request.operation"),
    ],
)
def test_reviews_of_something_else(request_of: Callable[[], Any], path: str) -> None:
    """A review of another kind, or without its object, is no verdict."""
    with pytest.raises(ReviewError) as raised:
        decide_cluster_policy(request_of(), world(*EEM), Options())

    assert path == raised.value.path


def test_the_old_object_wins_over_the_cached_one() -> None:
    """Where the cache does not have the policy, the old object of the request is what is deleted."""
    response = changed(world(*EEM, default_deny()), None, anp(ALLOW_ALL))

    assert lost_ports(response) == [("gw", 8092)]


def test_a_namespace_that_demands_some_source() -> None:
    """Where some source is enough, a Deny of all pods leaves the addresses outside."""
    annotated = b.namespace(annotations={"eem-guardrail.io/sources": "some"})
    snapshot = world(annotated, gateway(), gateway_pod())
    only_pods = world(annotated, gateway(), gateway_pod(), FROM_PODS)

    assert changed(snapshot, anp(DENY_ALL)).allowed
    assert not changed(only_pods, anp(DENY_ALL)).allowed


# The state, and changes offline


@pytest.mark.parametrize(
    ("policies", "met", "denied"),
    [
        pytest.param([anp(DENY_ALL)], False, True, id="an Admin Deny"),
        pytest.param(
            [anp(b.rule("Deny", b.namespaces(), ports=[{"portNumber": {"port": 1}}]))], True, False, id="a port"
        ),
        pytest.param([b.baseline_policy(ingress=[DENY_SHOP])], False, True, id="a Baseline Deny, nothing isolates"),
        pytest.param([b.baseline_policy(ingress=[DENY_SHOP]), EVERYONE], True, False, id="a policy isolates"),
        pytest.param(
            [default_deny(), anp(ALLOW_ALL)], False, False, id="an Admin Allow holds nothing open for addresses"
        ),
        pytest.param([anp(DENY_ALL, priority=100)], True, True, id="a Deny that may have no effect"),
    ],
)
def test_the_audit(policies: list[b.ApiObject], met: bool, denied: bool) -> None:  # noqa: FBT001  columns
    """The state of a requirement counts what the tiers decide, and names the policies whose rules deny."""
    (state,) = audit(world(*EEM, *policies), Options()).states()

    assert state.met is met
    assert (state.lost is not None and state.lost.denied) is denied


def test_the_audit_after_a_change_of_a_cluster_wide_policy() -> None:
    """A policy that comes or goes is seen; one that does not speak of the pods evaluates nothing anew."""
    snapshot = world(*EEM)
    first = audit(snapshot, Options())
    others = audit(snapshot.with_object(anp(DENY_ALL, subject=b.namespaces(team="shop"))), Options(), known=first)
    closed = audit(snapshot.with_object(anp(DENY_ALL)), Options(), known=first)
    open_again = audit(snapshot, Options(), known=closed)

    assert [[one.met for one in found.states()] for found in (first, others, closed, open_again)] == [
        [True],
        [True],
        [False],
        [True],
    ]


@pytest.mark.parametrize(
    ("change", "is_allowed", "is_safe"),
    [
        (ObjectChange(old=None, new=anp(DENY_SHOP)), False, False),
        (ObjectChange(old=None, new=anp(DENY_PORT)), True, True),
        (ObjectChange(old=None, new=b.baseline_policy(ingress=[DENY_ALL])), False, False),
        (ObjectChange(old=None, new=cnp(b.rule("Accept", b.namespaces()))), True, True),
    ],
)
def test_a_trial(change: ObjectChange, is_allowed: bool, is_safe: bool) -> None:  # noqa: FBT001  columns
    """Offline, a change of a cluster-wide policy is judged like the webhook judges it."""
    trial = attempt(change, world(*EEM), Options())

    assert (trial.verdict.allowed, trial.is_safe) == (is_allowed, is_safe)
    assert trial.after.count(change.resource.kind) == 1


@pytest.mark.parametrize(
    ("policies", "warnings"),
    [
        pytest.param([], [], id="nothing closes the port"),
        pytest.param(
            [anp(DENY_ALL)],
            ["TCP/8092 of its pods will need a policy that you write: denied by AdminNetworkPolicy/guard"],
            id="a Deny",
        ),
        pytest.param(
            [EVERYONE, anp(DENY_ALL)],
            ["TCP/8092 of its pods will need a policy that you write: denied by AdminNetworkPolicy/guard"],
            id="a Deny beats the policy that allows everyone",
        ),
        pytest.param(
            [default_deny(), anp(ALLOW_ALL)],
            ["TCP/8092 of its pods will need a policy that you write: isolated by default-deny"],
            id="an Allow of pods does not open it for addresses",
        ),
        pytest.param([anp(DENY_ALL, priority=100)], [], id="a Deny that may have no effect"),
    ],
)
def test_a_new_instance_under_tiers(policies: list[b.ApiObject], warnings: list[str]) -> None:
    """Who creates an instance learns which port a tier closes, and which policy does so."""
    request = asked(gateway(deploy_network_policies=False))

    assert warnings == list(impact(request, world(b.namespace(), *policies), Options()))
