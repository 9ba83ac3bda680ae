"""The judge of cluster-wide policies: no verdict before the cluster is known, and no blocked event loop."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    admin_policy,
    baseline_policy,
    body,
    from_,
    instance,
    namespace,
    namespaces,
    policy,
    review,
    rule,
)
from known_cluster import KnownCluster

from webhook.admission import AdmissionRequest, Options, ReviewError, decode_review
from webhook.admission.inflight import MOST_PENDING, PENDING_SECONDS
from webhook.admission.inflight_tiers import MOST_PENDING_TIERS
from webhook.eem import EemSnapshot
from webhook.guard.judging import IN_DOUBT, MANY_IN_DOUBT, PolicyJudge
from webhook.guard.judging_tiers import MOST_AT_ONCE, ClusterPolicyJudge
from webhook.guard.outcomes import NotReady


def judge_on(cache: KnownCluster) -> ClusterPolicyJudge:
    return ClusterPolicyJudge(cache, Options, PolicyJudge(cache, Options()))


DENY = admin_policy("closes", ingress=[rule("Deny", namespaces())])


def cluster(count: int) -> KnownCluster:
    """Return a cluster with an EventGateway in each of *count* namespaces."""
    names = [f"eem-{number}" for number in range(count)]
    made = [one for name in names for one in (namespace(name), instance("gw", name, kind=GATEWAY_KIND))]
    return KnownCluster(snapshot=EemSnapshot.from_objects(made))


def asked() -> AdmissionRequest:
    return decode_review(body(review(DENY)))


async def test_no_verdict_is_given_before_the_cluster_is_known() -> None:
    """Another replica may know it."""
    cache = cluster(1)
    cache.has_synced = False

    with pytest.raises(NotReady):
        await judge_on(cache)(asked())


@pytest.mark.parametrize(("count", "waits"), [(2, False), (MOST_AT_ONCE + 1, True)])
async def test_many_namespaces_are_judged_beside_the_event_loop(*, count: int, waits: bool) -> None:
    """The verdict is the same, and other tasks run meanwhile."""
    turns: list[bool] = []

    async def run_beside() -> None:
        turns.append(True)

    beside = asyncio.create_task(run_beside())
    response = await judge_on(cluster(count))(asked())
    ran_meanwhile = bool(turns)
    await beside

    assert not response.allowed
    assert ran_meanwhile is waits
    assert f"in {count - 1} other namespace" in response.message


async def test_a_review_of_a_kind_of_another_group_is_no_verdict() -> None:
    """Antrea has a kind ClusterNetworkPolicy, too."""
    request = asked()
    request = replace(request, kind=replace(request.kind, group="crd.antrea.io"))

    with pytest.raises(ReviewError):
        await judge_on(cluster(1))(request)


# Changes in flight


def holding(name: str, priority: int) -> ApiObject:
    """Return a policy that lets every pod connect."""
    made = admin_policy(name, priority=priority, ingress=[rule("Allow", namespaces())])
    return {**made, "metadata": {**made["metadata"], "resourceVersion": "1"}}


CLIENTS = holding("clients", 10)
FROM_PODS = policy("pods", ingress=[from_({"namespaceSelector": {}})], uid="n", resource_version="1")
SHUT = policy("shut", uid="s", resource_version="1")


@dataclass(kw_only=True)
class Moving(KnownCluster):
    """A cluster whose cache lags behind the store."""

    now: float = 1000.0
    stored: dict[str, ApiObject] = field(default_factory=dict)

    @classmethod
    def of(cls, *objects: ApiObject) -> "Moving":
        known = (namespace("eem"), instance("gw", kind=GATEWAY_KIND), *objects)
        stored = {one["metadata"]["name"]: one for one in objects if one["kind"] == "NetworkPolicy"}
        return cls(snapshot=EemSnapshot.from_objects(known), stored=stored)

    async def listed(self, _namespace: str) -> Iterable[ApiObject]:
        return list(self.stored.values())

    def judges(self) -> tuple[PolicyJudge, ClusterPolicyJudge]:
        policies = PolicyJudge(self, Options(), self.listed, monotonic=lambda: self.now, live_seconds=0.02)
        return policies, ClusterPolicyJudge(self, Options, policies)


def review_of(new: ApiObject | None = None, old: ApiObject | None = None, **fields: Any) -> AdmissionRequest:
    return decode_review(body(review(new, old, **fields)))


async def test_a_change_of_a_network_policy_counts_a_cluster_wide_change_in_flight() -> None:
    """The Allow was admitted to go, since a NetworkPolicy allows the same; so that NetworkPolicy may not go as well."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()

    assert (await policies(review_of(None, FROM_PODS, dry_run=True))).allowed
    assert (await cluster_wide(review_of(None, CLIENTS))).allowed
    second = await policies(review_of(None, FROM_PODS))
    assert not second.allowed
    assert second.message.endswith(IN_DOUBT)
    cache.see(cache.snapshot.without_object("AdminNetworkPolicy", "", "clients"))
    third = await policies(review_of(None, FROM_PODS))
    assert not third.allowed
    assert IN_DOUBT not in third.message


async def test_a_refusal_in_doubt_waits_for_the_watch() -> None:
    """The deletion failed elsewhere: a later version of the policy shows it, and the change is allowed."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()
    later = {**CLIENTS, "metadata": {**CLIENTS["metadata"], "resourceVersion": "2"}}

    assert (await cluster_wide(review_of(None, CLIENTS))).allowed
    second = asyncio.create_task(policies(review_of(None, FROM_PODS)))
    await asyncio.sleep(0)
    cache.see(cache.snapshot.with_object(later))
    assert (await second).allowed


async def test_two_cluster_wide_changes_in_flight() -> None:
    """Each of two policies holds the port open: the second one may not go while the first one goes."""
    other = holding("more", 20)
    cache = Moving.of(CLIENTS, other, SHUT)
    _, cluster_wide = cache.judges()

    assert (await cluster_wide(review_of(None, CLIENTS, dry_run=True))).allowed
    assert (await cluster_wide(review_of(None, other))).allowed
    assert (await cluster_wide(review_of(None, other))).allowed
    second = await cluster_wide(review_of(None, CLIENTS))
    assert not second.allowed
    assert second.message.endswith(IN_DOUBT)
    cache.now += PENDING_SECONDS + 1
    cache.see(cache.snapshot)
    assert (await cluster_wide(review_of(None, CLIENTS))).allowed


async def test_a_cluster_wide_change_counts_a_network_policy_in_flight() -> None:
    """The NetworkPolicy was admitted to go, since the Allow holds the port open."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()

    assert (await policies(review_of(None, FROM_PODS))).allowed
    assert not (await cluster_wide(review_of(None, CLIENTS))).allowed


async def test_where_the_cluster_is_read_from_files_nothing_is_in_flight() -> None:
    """Files do not change because of a verdict."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies = PolicyJudge(cache, Options())

    assert (await ClusterPolicyJudge(cache, Options, policies)(review_of(None, CLIENTS))).allowed
    assert (await policies(review_of(None, FROM_PODS))).allowed


# More changes in flight than are kept


async def flood(cluster_wide: ClusterPolicyJudge, count: int = MOST_PENDING_TIERS + 1) -> None:
    """Have more invented changes admitted than are kept."""
    for number in range(count):
        assert (await cluster_wide(review_of(admin_policy(f"forged-{number}", priority=20)))).allowed


@pytest.mark.parametrize("earlier", [0, 3], ids=["after it", "before it and after it"])
async def test_invented_changes_do_not_hide_a_removal_from_a_network_policy(earlier: int) -> None:
    """The Allow goes, so the NetworkPolicy that allows the same may not."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()
    await flood(cluster_wide, earlier)

    assert (await cluster_wide(review_of(None, CLIENTS))).allowed
    await flood(cluster_wide)
    second = await policies(review_of(None, FROM_PODS))
    assert not second.allowed
    assert second.message.endswith(MANY_IN_DOUBT)


@pytest.mark.parametrize("earlier", [0, 3], ids=["after it", "before it and after it"])
async def test_invented_changes_do_not_hide_a_removal_from_another_one(earlier: int) -> None:
    """One of two policies that hold the port open goes, so the other one may not."""
    other = holding("more", 20)
    cache = Moving.of(CLIENTS, other, SHUT)
    _, cluster_wide = cache.judges()
    await flood(cluster_wide, earlier)

    assert (await cluster_wide(review_of(None, other))).allowed
    await flood(cluster_wide)
    second = await cluster_wide(review_of(None, CLIENTS))
    assert not second.allowed
    assert second.message.endswith(MANY_IN_DOUBT)


async def flood_namespace(policies: PolicyJudge) -> None:
    """Have more invented changes of NetworkPolicies admitted than are kept."""
    for number in range(MOST_PENDING + 1):
        other_pods = {"matchLabels": {"app": "other"}}
        forged = policy(f"forged-{number}", pod_selector=other_pods, ingress=[from_()], uid=f"f-{number}")
        assert (await policies(review_of(forged))).allowed


async def test_invented_changes_of_network_policies_do_not_hide_a_removal() -> None:
    """The NetworkPolicy that allows the same was admitted to go, so the Allow may not; what opens more is allowed."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()
    await flood_namespace(policies)

    assert (await policies(review_of(None, FROM_PODS))).allowed
    second = await cluster_wide(review_of(None, CLIENTS))
    assert not second.allowed
    assert second.message.endswith(IN_DOUBT)
    assert (await cluster_wide(review_of(holding("wider", 5), dry_run=True))).allowed


async def test_invented_changes_of_network_policies_do_not_hide_an_addition() -> None:
    """The NetworkPolicy that shields the pods from Baseline was admitted, so an administrator may not deny everyone."""
    cache = Moving.of(baseline_policy(ingress=[rule("Deny", namespaces())]))
    policies, cluster_wide = cache.judges()

    assert (await cluster_wide(review_of(DENY, dry_run=True))).allowed
    await flood_namespace(policies)
    assert (await policies(review_of(policy("open", ingress=[from_()], uid="o")))).allowed
    assert not (await cluster_wide(review_of(DENY))).allowed


@pytest.mark.parametrize("count", [5, MOST_PENDING_TIERS + 1], ids=["more than are combined", "more than are kept"])
async def test_with_more_changes_than_are_judged_what_is_acceptable_in_any_state_is_allowed(count: int) -> None:
    """The rest is refused with the reason, and only while one of the changes may still happen."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    policies, cluster_wide = cache.judges()
    await flood(cluster_wide, count)
    more = policy("more", ingress=[from_()], uid="m")

    assert (await cluster_wide(review_of(holding("wider", 5), dry_run=True))).allowed
    assert (await cluster_wide(review_of(None, DENY, dry_run=True))).allowed
    assert (await policies(review_of(more, dry_run=True))).allowed
    assert (await policies(review_of(None, SHUT, dry_run=True))).allowed
    refused = [await cluster_wide(review_of(None, CLIENTS)), await policies(review_of(None, FROM_PODS))]
    assert [one.message.endswith(MANY_IN_DOUBT) for one in refused] == [True, True]
    cache.now += PENDING_SECONDS + 1
    assert (await cluster_wide(review_of(None, CLIENTS, dry_run=True))).allowed
    assert (await policies(review_of(None, FROM_PODS, dry_run=True))).allowed


async def test_with_more_changes_than_are_judged_another_place_in_the_order_is_refused() -> None:
    """A policy between the two places may deny what this one allows; the same place with other rules is no loss."""
    cache = Moving.of(CLIENTS, FROM_PODS, SHUT)
    _, cluster_wide = cache.judges()
    moved, wider = holding("clients", 11), {**CLIENTS, "spec": {**CLIENTS["spec"]}}
    wider["spec"]["ingress"] = [*wider["spec"]["ingress"], rule("Allow", namespaces())]
    asked = review_of(moved, CLIENTS, dry_run=True)

    assert (await cluster_wide(asked)).allowed
    await flood(cluster_wide)
    assert not (await cluster_wide(asked)).allowed
    assert (await cluster_wide(review_of(wider, CLIENTS, dry_run=True))).allowed
