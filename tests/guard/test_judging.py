"""Judging while the cluster changes: changes in flight and live lists."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    body,
    eem_labels,
    from_,
    instance,
    namespace,
    pod,
    policy,
    port,
    review,
    selector,
)
from known_cluster import KnownCluster

from webhook.admission import AdmissionResponse, Options, decode_review, validate
from webhook.admission.inflight import MOST_PENDING, PENDING_SECONDS, SETTLE_SECONDS
from webhook.eem import EemSnapshot
from webhook.guard.judging import LIVE_SECONDS, InstanceJudge, PolicyJudge
from webhook.guard.outcomes import ListError, NotReady
from webhook.server.limits import ANSWER_MARGIN_SECONDS, MIN_TIMEOUT_SECONDS

WORLD = (
    namespace("eem"),
    namespace("shop"),
    instance("gw", kind=GATEWAY_KIND),
    pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw")),
)
SHORT_SECONDS = 0.02  # how long a refusal waits for the outcome of a change in flight that is never seen
DENY = policy("default-deny", policy_types=["Ingress"], resource_version="1")


def allow(name: str = "allow", version: str = "1", uid: str = "first", **meta: Any) -> ApiObject:
    rule = from_(ports=[port(8092, "TCP")])
    chosen = selector(**eem_labels("gw"))
    return policy(name, pod_selector=chosen, ingress=[rule], resource_version=version, uid=uid, **meta)


def narrow(name: str = "allow", version: str = "2", uid: str = "first") -> ApiObject:
    """Return the allow policy with its clients narrowed to one namespace."""
    only = {"namespaceSelector": selector(team="shop")}
    rule = from_(only, ports=[port(8092, "TCP")])
    chosen = selector(**eem_labels("gw"))
    return policy(name, pod_selector=chosen, ingress=[rule], resource_version=version, uid=uid)


@dataclass(kw_only=True)
class Cluster(KnownCluster):
    """
    A cluster whose cache lags behind the store; the test controls both.

    `stored` is what a live list shows, `snapshot` what the watch has brought.
    """

    stored: dict[str, ApiObject]
    now: float = 1000.0
    lists: int = 0
    live: Callable[[], Awaitable[None]] | None = None
    failure: Exception | None = None
    options: Options = field(default_factory=Options)

    @classmethod
    def of(cls, *policies: ApiObject) -> "Cluster":
        stored = {known["metadata"]["name"]: known for known in policies}
        return cls(stored=stored, snapshot=EemSnapshot.from_objects([*WORLD, *policies]))

    def judge(self, **settings: Any) -> PolicyJudge:
        settings = {"live_seconds": SHORT_SECONDS, **settings}
        return PolicyJudge(self, self.options, self.listed, monotonic=lambda: self.now, **settings)

    async def listed(self, namespace_name: str) -> Iterable[Mapping[str, Any]]:
        assert namespace_name == "eem"
        self.lists += 1
        found = list(self.stored.values())
        if self.live is not None:
            await self.live()
        if self.failure is not None:
            raise self.failure
        return found

    def store(self, change: ApiObject) -> None:
        self.stored[change["metadata"]["name"]] = change

    def remove(self, name: str) -> None:
        del self.stored[name]

    def seen(self) -> None:
        """Let the watch bring the cache to the stored state."""
        self.see(EemSnapshot.from_objects([*WORLD, *self.stored.values()]))


async def ask(
    judge: PolicyJudge, new: ApiObject | None = None, old: ApiObject | None = None, **fields: Any
) -> AdmissionResponse:
    return await judge(decode_review(body(review(new, old, **fields))))


async def test_no_verdict_is_given_before_the_cache_is_synced() -> None:
    """Another replica may know the cluster."""
    cluster = Cluster.of(DENY, allow())
    cluster.has_synced = False

    with pytest.raises(NotReady):
        await ask(cluster.judge(), None, allow())


async def test_two_removals_that_are_only_together_a_break_are_not_both_admitted() -> None:
    """The second removal is judged as if the first had happened, before the watch shows it."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    first = await ask(judge, None, allow("a"))
    second = await ask(judge, None, allow("b"))

    assert (first.allowed, second.allowed) == (True, False)


async def test_an_isolation_in_flight_counts_at_once() -> None:
    """After a default deny was admitted, the allow that it needs cannot be deleted."""
    cluster = Cluster.of(allow())
    judge = cluster.judge()

    lockdown = await ask(judge, DENY)
    removal = await ask(judge, None, allow())

    assert (lockdown.allowed, removal.allowed) == (True, False)


async def test_an_allow_in_flight_does_not_count() -> None:
    """An allow that was admitted may be rejected by a quota, so a removal that needs it is refused."""
    cluster = Cluster.of(DENY, allow("a"))
    judge = cluster.judge()

    repair = await ask(judge, allow("b"))
    removal = await ask(judge, None, allow("a"))

    assert (repair.allowed, removal.allowed) == (True, False)


async def test_a_repair_on_another_replica_is_seen_before_a_refusal() -> None:
    """The cache does not have it yet; the live list shows it, and nothing is refused."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.store(allow("b"))

    removal = await ask(cluster.judge(), None, allow("a"))

    assert (removal.allowed, cluster.lists) == (True, 1)


async def test_an_allowed_change_needs_no_live_list() -> None:
    """Only a refusal is confirmed."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))

    await ask(cluster.judge(), None, allow("a"))

    assert cluster.lists == 0


async def test_an_allowed_change_is_confirmed_while_the_watch_is_interrupted() -> None:
    """A policy of the cache may be gone since, as after etcd was restored."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    cluster.follows_policies = False
    cluster.remove("b")

    removal = await ask(cluster.judge(), None, allow("a"))

    assert (removal.allowed, cluster.lists) == (False, 1)


@pytest.mark.parametrize("went_back", [True, False])
async def test_no_change_is_allowed_after_the_cluster_went_back(went_back: bool) -> None:  # noqa: FBT001
    """The live list shows that; an API server that only does not answer changes nothing."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    cluster.follows_policies = False
    cluster.failure = ListError("no list")

    async def look() -> None:
        cluster.has_synced = not went_back

    cluster.live = look
    if went_back:
        with pytest.raises(NotReady, match="any more"):
            await ask(cluster.judge(), None, allow("a"))
    else:
        assert (await ask(cluster.judge(), None, allow("a"))).allowed


async def test_a_dry_run_leaves_nothing_in_flight() -> None:
    """A removal as a dry run does not count for the next one."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"), dry_run=True)
    removal = await ask(judge, None, allow("b"))

    assert removal.allowed


async def test_a_deletion_that_failed_is_forgotten_after_a_later_list() -> None:
    """A list that begins after the write must have happened, and does not show it, means that it failed."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    cluster.now += SETTLE_SECONDS + 0.1
    removal = await ask(judge, None, allow("b"))

    assert (removal.allowed, cluster.lists) == (True, 1)


async def test_a_deletion_that_may_still_happen_is_not_forgotten() -> None:
    """A list that begins at once may be older than the write: the removal still counts."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    cluster.now += SETTLE_SECONDS - 0.1
    removal = await ask(judge, None, allow("b"))

    assert not removal.allowed


async def test_a_refused_change_is_refused_again_before_the_watch_shows_the_deletion() -> None:
    """A policy that a live list shows as deleted does not count for the next change, though the cache still has it."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    cluster.remove("a")
    cluster.now += SETTLE_SECONDS + 0.1
    removals = [(await ask(judge, None, allow("b"))).allowed for _ in range(2)]

    assert removals == [False, False]


async def test_a_policy_that_is_created_again_and_narrower_counts_as_narrow() -> None:
    """The cache still has the old policy of that name, which does not count."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    deletion = await ask(judge, None, allow("a"))
    creation = await ask(judge, narrow("a", version="", uid="second"))
    removal = await ask(judge, None, allow("b"))

    assert (deletion.allowed, creation.allowed, removal.allowed) == (True, True, False)


async def test_a_removal_counts_if_the_cache_has_an_earlier_version() -> None:
    """The policy was annotated a moment before: the cache lags behind the request's old object."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    cluster.store(allow("a", version="2", annotations={"note": "old"}))
    first = await ask(judge, None, cluster.stored["a"])
    second = await ask(judge, None, allow("b"))

    assert (first.allowed, second.allowed) == (True, False)


async def test_of_two_changes_of_one_version_either_may_happen() -> None:
    """An edit of the same version does not cancel a removal: either may fail."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    opened = allow("a", version="2")
    opened["spec"]["ingress"] = [{}]

    deletion = await ask(judge, None, allow("a"))
    opening = await ask(judge, opened, allow("a"))
    removal = await ask(judge, None, allow("b"))

    assert (deletion.allowed, opening.allowed, removal.allowed) == (True, True, False)


async def test_a_list_is_repeated_if_the_watch_brings_a_change_meanwhile() -> None:
    """A policy that is deleted meanwhile does not count because the list still has it."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.store(allow("b"))

    async def overtake() -> None:
        if cluster.lists == 1:
            cluster.remove("b")
            cluster.seen()

    cluster.live = overtake
    removal = await ask(cluster.judge(), None, allow("a"))

    assert (removal.allowed, cluster.lists) == (False, 2)


async def test_a_refusal_waits_for_the_outcome_of_a_change_in_flight() -> None:
    """Another replica takes an isolation back at once: the watch shows both, and the change is allowed."""
    cluster = Cluster.of(allow("a"))
    judge = cluster.judge(live_seconds=30)

    isolation = await ask(judge, DENY)
    removal = asyncio.create_task(ask(judge, None, allow("a")))
    await cluster.waiting.wait()
    cluster.store(DENY)
    cluster.seen()
    cluster.remove("default-deny")
    cluster.seen()

    assert (isolation.allowed, (await removal).allowed, cluster.lists) == (True, True, 2)


async def test_a_refusal_is_certain_after_the_watch_shows_the_outcome() -> None:
    """The first removal has happened: then nothing is in doubt about the second."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge(live_seconds=30)

    await ask(judge, None, allow("a"))
    asking = asyncio.create_task(ask(judge, None, allow("b")))
    await cluster.waiting.wait()
    cluster.remove("a")
    cluster.seen()
    removal = await asking

    assert (removal.allowed, "try again" in removal.message) == (False, False)


async def test_a_refusal_stands_if_there_is_no_time_for_another_list() -> None:
    """The watch shows that the first removal has happened, and the second list does not come in time."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    async def hang_from_the_second_on() -> None:
        if cluster.lists > 1:
            await asyncio.Event().wait()

    cluster.live = hang_from_the_second_on
    await ask(judge, None, allow("a"))
    asking = asyncio.create_task(ask(judge, None, allow("b")))
    await cluster.waiting.wait()
    cluster.remove("a")
    cluster.seen()

    assert not (await asking).allowed
    assert cluster.lists == 2


async def test_a_refusal_that_depends_on_a_change_in_flight_says_so() -> None:
    """The outcome of the first removal is not known in time: the second is refused, and may be tried again."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    removal = await ask(judge, None, allow("b"))

    assert not removal.allowed
    assert "try again" in removal.message


async def test_warn_mode_does_not_wait_for_outcomes() -> None:
    """The change is allowed at once, with a warning."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    cluster.options = Options(mode="warn")
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    removal = await ask(judge, None, allow("b"))

    assert (removal.result, cluster.waiting.is_set()) == ("warned", False)


async def test_a_creation_whose_name_is_taken_does_not_count() -> None:
    """The API server calls webhooks before it looks: a creation that ends in AlreadyExists changes nothing."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    creation = await ask(judge, narrow("a", version="", uid="second"))
    removal = await ask(judge, None, allow("b"))

    assert (creation.allowed, removal.allowed) == (True, True)


async def test_with_too_many_changes_in_flight_the_api_server_is_asked() -> None:
    """
    A flood of creations that fail, or that a client other than the API server invents, does not end the verdicts.

    A change that is acceptable in any state is allowed at once. Another one is in doubt for a moment; then a live list
    shows that the flood changed nothing.
    """
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()
    for number in range(MOST_PENDING + 1):
        await ask(judge, allow(f"more-{number}", version="", uid=f"{number}"))

    acceptable = await ask(judge, allow("acceptable"))
    lists = cluster.lists
    doubtful = await ask(judge, None, allow("b"))
    cluster.now += SETTLE_SECONDS + 0.1
    later = await ask(judge, None, allow("b"))

    assert (acceptable.allowed, lists) == (True, 0)
    assert (doubtful.allowed, "try again" in doubtful.message) == (False, True)
    assert (later.allowed, judge.in_flight) == (True, 1)


async def test_a_removal_that_does_not_fit_still_counts() -> None:
    """Of two removals that are only together a break, the second is refused, however many changes are in flight."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()
    for number in range(MOST_PENDING):
        await ask(judge, allow(f"more-{number}", version="", uid=f"{number}"))

    cluster.now += SETTLE_SECONDS - 0.1
    first = await ask(judge, None, allow("a"))
    second = await ask(judge, None, allow("b"))

    assert (first.allowed, second.allowed) == (True, False)


async def test_a_forged_update_does_not_hide_a_removal() -> None:
    """A review with a late version claims that the removed policy is still there; the removal stays in flight."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    first = await ask(judge, None, allow("a"))
    opened = allow("a", version="999")
    opened["spec"]["ingress"] = [{}]
    forged = await ask(judge, opened, allow("a", version="998"))
    second = await ask(judge, None, allow("b"))

    assert (first.allowed, forged.allowed, second.allowed) == (True, True, False)


async def test_changes_in_flight_in_another_namespace_do_not_count() -> None:
    """They are forgotten when they are too old, though no review comes from their namespace."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    elsewhere = [instance("gw", kind=GATEWAY_KIND, namespace="other"), allow("a", namespace="other")]
    for known in elsewhere:
        cluster.snapshot = cluster.snapshot.with_object(known)
    judge = cluster.judge()

    first = await ask(judge, None, allow("a", namespace="other"))
    second = await ask(judge, None, allow("b"))
    both = judge.in_flight
    cluster.now += PENDING_SECONDS + 1
    third = await ask(judge, allow("c"))

    assert (first.allowed, second.allowed, third.allowed) == (True, True, True)
    assert (cluster.lists, both, judge.in_flight) == (0, 2, 1)


async def test_a_change_is_not_in_flight_after_the_watch_shows_its_outcome() -> None:
    """A narrowing that was taken back does not count any more."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    narrowing = await ask(judge, narrow("a"), allow("a"))
    cluster.store(allow("a", version="3"))
    cluster.seen()
    removal = await ask(judge, None, allow("b"))

    assert (narrowing.allowed, removal.allowed) == (True, True)


async def test_a_change_whose_outcome_is_never_seen_is_forgotten() -> None:
    """A request of the API server lives at most a minute, so nothing is in flight for much longer."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = cluster.judge()

    await ask(judge, None, allow("a"))
    cluster.now += PENDING_SECONDS + 1
    await ask(judge, None, allow("b"))

    assert cluster.lists == 0


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ListError("connection refused"), id="the API server is gone"),
        pytest.param(ListError("429 TooManyRequests: slow down"), id="the API server is busy"),
    ],
)
async def test_a_refusal_that_cannot_be_confirmed_says_so(failure: Exception) -> None:
    """If the live list fails, the refusal stands, with a note."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.failure = failure

    removal = await ask(cluster.judge(), None, allow("a"))

    assert not removal.allowed
    assert "could not be asked" in removal.message
    assert removal.verdict is not None
    assert removal.verdict.message == removal.message


async def test_a_live_list_that_hangs_ends_within_its_time() -> None:
    """An API server that does not answer delays a refusal by at most the time for one confirmation."""
    cluster = Cluster.of(DENY, allow("a"))

    async def never() -> None:
        await asyncio.Event().wait()

    cluster.live = never
    removal = await ask(cluster.judge(live_seconds=0.01), None, allow("a"))

    assert not removal.allowed
    assert "did not answer in time" in removal.message


def test_a_refusal_comes_in_time_for_the_shortest_timeout_of_a_webhook() -> None:
    """Otherwise a list that hangs would end in a failed call without an explanation."""
    assert LIVE_SECONDS + ANSWER_MARGIN_SECONDS < MIN_TIMEOUT_SECONDS


async def test_a_warning_is_confirmed_as_well() -> None:
    """In warn mode a change is allowed with its warning, whether or not the list succeeds."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.options = Options(mode="warn")
    cluster.failure = ListError("connection refused")

    removal = await ask(cluster.judge(), None, allow("a"))

    assert (removal.allowed, removal.result) == (True, "warned")


async def test_more_changes_in_flight_than_can_be_combined_are_judged_at_their_worst() -> None:
    """With many removals in flight the last allow stays, whatever their outcomes."""
    cluster = Cluster.of(DENY, *(allow(f"a{index}") for index in range(8)))
    judge = cluster.judge()

    verdicts = [(await ask(judge, None, allow(f"a{index}"))).allowed for index in range(8)]

    assert verdicts == [True] * 7 + [False]


async def test_nothing_is_in_flight_if_the_cluster_is_read_from_files() -> None:
    """The same review gets the same answer, whatever was judged before."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    judge = PolicyJudge(cluster, Options())

    first = await ask(judge, None, allow("a"))
    second = await ask(judge, None, allow("b"))

    assert (first.allowed, second.allowed) == (True, True)


async def test_pairs_of_racing_edits_never_break_together() -> None:
    """
    Of two edits that are each allowed and together a break, one replica admits at most one.

    They come 0 to 50 ms apart on the test's clock; each admitted edit is stored, and seen, after a random time.
    """
    rng = random.Random(20261123)
    broken = 0
    for _ in range(300):
        cluster = Cluster.of(DENY, allow("a"), allow("b"))
        judge = cluster.judge()
        first = await ask(judge, None, allow("a"))
        cluster.now += rng.uniform(0, 0.05)
        if rng.random() < 0.5:
            cluster.remove("a")
        if rng.random() < 0.5:
            cluster.seen()
        second = await ask(judge, *rng.choice([(None, allow("b")), (narrow("b"), allow("b"))]))
        broken += first.allowed and second.allowed

    assert broken == 0


async def test_instances_are_judged_on_the_snapshot_of_the_moment() -> None:
    """There is no verdict before the cluster is known."""
    cluster = Cluster.of()
    judge = InstanceJudge(cluster, lambda: cluster.options, validate)
    request = decode_review(body(review(instance("new", kind=GATEWAY_KIND))))
    cluster.has_synced = False

    with pytest.raises(NotReady):
        await judge(request)
    cluster.has_synced = True
    found = await judge(request)

    assert (False, 422) == (found.allowed, found.code)
