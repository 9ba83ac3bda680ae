"""The registration is made in order, written once, repaired at once, and not made again when it was deleted."""

import asyncio
import base64
import logging
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from cluster_builders import PATIENCE_SECONDS, FakeTime, take_list
from fake_api_server import answer, status_body
from registration_builders import BUNDLE, Desk, desk, encoded, shipped

from webhook.admission.exemptions import CANARY_NAMESPACE
from webhook.cluster.store import Store
from webhook.controllers.entries import (
    CLUSTER_POLICIES,
    DEFAULTS,
    INSTANCES,
    MUTATING,
    NAME,
    POLICIES,
    VALIDATING,
)
from webhook.controllers.registrar import published
from webhook.main.writers import known_namespaces

OTHER = b"another bundle"
WHOLE = ["eem", CANARY_NAMESPACE]


def wipe(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        entry["clientConfig"]["caBundle"] = ""


def empty(entries: list[dict[str, Any]]) -> None:
    entries.clear()


def turn_off(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        if entry["name"] == POLICIES:
            entry["matchConditions"].append({"name": "never", "expression": "false"})


def bundle(made: Desk, name: str, resource: Any = VALIDATING) -> bytes:
    entry = made.entry(name, resource) or {}
    return base64.b64decode(entry["clientConfig"].get("caBundle", ""))


async def test_nothing_is_written_before_this_replicas_port_answers() -> None:
    """The port is checked with the bundle that is to be published; until it answers nothing is written."""
    async with desk() as made:
        made.trouble = "no answer"
        for _ in range(20):
            await made.step()

        assert made.registrar.writes == 0
        assert made.registrar.problem() == "no answer"
        assert set(made.asked) == {BUNDLE}

        made.trouble = None
        await made.step()

        assert (bundle(made, INSTANCES), bundle(made, POLICIES), bundle(made, DEFAULTS, MUTATING)) == (BUNDLE,) * 3


async def test_namespaces_are_added_after_the_first_refused_heartbeat() -> None:
    """The entry is for the canary namespace only until the API server refused a heartbeat."""
    async with desk() as made:
        made.refused = False
        await made.step()

        assert made.namespaces == [CANARY_NAMESPACE]

        for _ in range(40):
            await made.step()

        assert made.namespaces == [CANARY_NAMESPACE]
        assert "no review reached the service" in (made.registrar.problem() or "")

        made.refused = True
        for _ in range(48):
            await made.step()

        assert made.namespaces == WHOLE
        assert made.registrar.problem() is None
        assert made.registrar.registered == frozenset(WHOLE)


async def test_a_complete_registration_is_not_written_again() -> None:
    """An hour of looks writes nothing, and does not check the port again."""
    async with desk() as made:
        await made.registered()
        writes, asked = made.registrar.writes, len(made.asked)
        for _ in range(3600):
            await made.registrar.look()
            made.time.now += 1.0

        assert (made.registrar.writes, len(made.asked)) == (writes, asked)
        assert writes == 3


async def test_only_the_leader_writes() -> None:
    """Another replica compares and reports drift, but sends neither an Event nor a heartbeat."""
    async with desk() as made:
        made.leads = False
        made.edit(VALIDATING, empty)
        await made.registered()

        assert (made.registrar.writes, made.events, made.heartbeat.last_success_timestamp_seconds) == (0, [], 0.0)
        assert [one.field for one in made.registrar.drift] == [f"validatingwebhookconfigurations.webhooks[{INSTANCES}]"]


async def test_nothing_is_done_before_both_configurations_are_known() -> None:
    """A configuration that was not listed yet is not absent: nothing is written, published or reported as drift."""
    async with desk() as made:
        await made.registrar.look()
        await take_list(made.validating, VALIDATING.kind, [], 1)
        made.mutating.status[MUTATING.kind].problem = "may not list"
        await made.registrar.look()

        assert made.registrar.writes == 0
        assert published((made.validating, made.mutating)) is None
        assert [one.field for one in made.registrar.drift] == ["validatingwebhookconfigurations"]
        assert (made.registrar.problem() or "").startswith("mutatingwebhookconfigurations: may not list; ")


@pytest.mark.parametrize("change", [wipe, empty], ids=["caBundle", "everything"])
async def test_a_wipe_is_repaired_at_the_next_look(change: Any) -> None:
    """One write restores the entry with all namespaces."""
    async with desk() as made:
        await made.registered()
        before, writes = made.entry(POLICIES), made.registrar.writes
        made.edit(VALIDATING, change)
        await made.step()

        assert made.entry(POLICIES) == before
        assert made.registrar.writes == writes + 1


async def test_a_wipe_each_five_seconds_is_repaired_each_time() -> None:
    """For ten minutes each wipe is repaired by the next look, and it is no fight."""
    async with desk() as made:
        await made.registered()
        for _ in range(120):
            made.edit(VALIDATING, wipe)
            await made.step()

            assert bundle(made, INSTANCES) == bundle(made, POLICIES) == BUNDLE

            made.time.now += 4.75

        assert made.events == []


async def test_a_fight_slows_the_writes_and_gives_one_event() -> None:
    """Undone at every look, the writes slow down to one each 30 s; when the fight ends, the entry is repaired."""
    async with desk() as made:
        await made.registered()
        written: list[float] = []
        for _ in range(1200):
            made.edit(MUTATING, wipe)
            writes = made.registrar.writes
            await made.step()
            if made.registrar.writes > writes:
                written.append(made.time.now)
        gaps = [later - earlier for earlier, later in pairwise(written)]

        assert max(gaps) <= 31
        assert min(gaps[-4:]) >= 29
        assert len(written) < 20
        assert [reason for reason, _ in made.events] == ["RegistrationUndone"]
        assert "undoes" in (made.registrar.problem() or "")
        assert bundle(made, POLICIES) == BUNDLE

        for _ in range(150):
            await made.step()

        assert bundle(made, DEFAULTS, MUTATING) == BUNDLE
        assert made.registrar.problem() is None


async def test_a_new_namespace_is_added_at_the_next_look() -> None:
    """With a proof, a namespace with its first instance is registered a quarter of a second later."""
    async with desk() as made:
        await made.registered()
        made.eem = frozenset({"eem", "young"})
        await made.step()

        assert made.namespaces == ["eem", CANARY_NAMESPACE, "young"]

        made.eem = frozenset({"young"})
        await made.step()

        assert made.namespaces == [CANARY_NAMESPACE, "young"]


async def test_an_unknown_cluster_removes_no_namespace() -> None:
    """While the cluster is not known, registered namespaces stay; a new bundle is published nevertheless."""
    async with desk() as made:
        await made.registered()
        made.eem, made.bundle = None, OTHER
        await made.step()

        assert made.namespaces == WHOLE
        assert bundle(made, POLICIES) == bundle(made, INSTANCES) == OTHER


async def test_no_entry_is_created_while_the_cluster_is_not_known() -> None:
    """The shipped entries get their bundle; the entry for NetworkPolicies is not created yet."""
    async with desk() as made:
        made.eem = None
        await made.step()

        assert (made.entry(POLICIES), bundle(made, INSTANCES)) == (None, BUNDLE)


async def test_a_new_leader_keeps_namespaces_and_adds_them_after_its_own_heartbeat() -> None:
    """Registered namespaces stay; a new one is added after a heartbeat of the new leader."""
    async with desk() as made:
        await made.registered()
        made.leads = False
        await made.step()
        made.leads, made.refused = True, False
        made.eem = frozenset({"eem", "young"})
        await made.step()

        assert (made.namespaces, made.asked) == (WHOLE, [BUNDLE])

        made.refused = True
        for _ in range(8):
            await made.step()

        assert made.namespaces == ["eem", CANARY_NAMESPACE, "young"]


async def test_a_deleted_configuration_stays_deleted() -> None:
    """Nothing is written for it and it is reported as drift; when it is applied again, a new proof is needed."""
    async with desk() as made:
        await made.registered()
        made.server.delete(VALIDATING, NAME)
        made.server.delete(MUTATING, NAME)
        written = len(made.server.bodies)
        for _ in range(400):
            await made.step()

        assert len(made.server.bodies) == written
        assert [one.field for one in made.registrar.drift] == [VALIDATING.plural, MUTATING.plural]
        assert published((made.validating, made.mutating)) == []
        assert made.events == []

        made.ship()
        made.refused = False
        await made.step()
        await made.step()

        assert made.namespaces == [CANARY_NAMESPACE]


async def test_a_conflict_is_retried_once_the_new_state_is_known() -> None:
    """A conflict writes nothing and is not a failure."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        await made.see()
        made.edit(VALIDATING, lambda entries: entries[0].update(timeoutSeconds=9))
        await made.registrar.look()

        assert bundle(made, INSTANCES) == b""

        asked = len(made.server.bodies)
        await made.registrar.look()

        assert len(made.server.bodies) == asked

        await made.step()

        assert bundle(made, INSTANCES) == BUNDLE


async def test_a_conflict_without_a_new_state_is_retried_after_a_second() -> None:
    """A watch that shows nothing does not keep the registration wiped for ever."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        made.server.faults["PATCH", VALIDATING.plural].append(answer(409, "Conflict"))
        await made.step()

        assert bundle(made, INSTANCES) == b""

        made.time.now += 1.0
        await made.step()

        assert bundle(made, INSTANCES) == BUNDLE


async def test_failures_are_logged_once_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    """A missing right is logged once, stays in the problem, and is retried with growing delays."""
    caplog.set_level(logging.WARNING)
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        fault = answer(403, "Forbidden", "may not patch")
        made.server.always["PATCH", VALIDATING.plural] = fault
        asked = len(made.server.bodies)
        for _ in range(480):
            await made.step()

        assert "may not patch" in (made.registrar.problem() or "")
        assert len([one for one in made.server.bodies[asked:] if one[0] == "PATCH"]) < 30
        assert caplog.text.count("may not patch") == 1

        made.server.always.pop(("PATCH", VALIDATING.plural))
        for _ in range(120):
            await made.step()

        assert (bundle(made, INSTANCES), made.registrar.problem()) == (BUNDLE, None)


@pytest.mark.parametrize(("fields", "writes"), [({}, 1), ({"failurePolicy": "Ignore"}, 2)], ids=["alone", "and more"])
async def test_conditions_of_other_clients_are_removed_from_the_entry(fields: dict[str, Any], writes: int) -> None:
    """A condition that would turn the entry off is removed by its own patch, before other fields are restored."""
    async with desk() as made:
        await made.registered()
        before, written = made.entry(POLICIES), made.registrar.writes

        def turn_off(entries: list[dict[str, Any]]) -> None:
            for entry in entries:
                if entry["name"] == POLICIES:
                    entry["matchConditions"].append({"name": "never", "expression": "false"})
                    entry.update(fields)

        made.edit(VALIDATING, turn_off)
        await made.step()

        assert made.entry(POLICIES) == before
        assert made.registrar.writes == written + writes


async def test_without_an_authority_nothing_is_written() -> None:
    """Without a bundle the registration waits, and the problem says for what."""
    async with desk() as made:
        made.bundle = b""
        await made.registered()

        assert made.registrar.writes == 0
        assert made.registrar.problem() == "there is no certificate authority yet"


async def test_published_has_the_bundle_of_each_entry() -> None:
    """An entry without a caBundle counts, too."""
    async with desk() as made:
        await made.see()

        assert published((made.validating, made.mutating)) == [b"", b""]

        await made.registered()

        assert published((made.validating, made.mutating)) == [BUNDLE] * 3


async def test_an_injected_bundle_is_copied_and_never_written_back() -> None:
    """The shipped entries belong to the injector; the entry for NetworkPolicies gets the bundle that they have."""
    async with desk(injected=True) as made:
        await made.registered()

        assert made.registrar.writes == 0
        assert made.registrar.problem() == f"no caBundle was injected into {INSTANCES} yet"

        def inject(bundle: bytes) -> None:
            made.edit(VALIDATING, lambda all_: all_[0]["clientConfig"].update(caBundle=encoded(bundle)))

        inject(BUNDLE)
        await made.registered()

        assert (made.namespaces, bundle(made, POLICIES), made.asked) == (WHOLE, BUNDLE, [BUNDLE])
        assert bundle(made, DEFAULTS, MUTATING) == b""

        inject(OTHER)
        await made.step()

        assert bundle(made, POLICIES) == OTHER

        inject(b"")
        await made.step()

        assert bundle(made, POLICIES) == OTHER
        assert {
            one["name"]
            for _, plural, body in made.server.bodies
            if plural == VALIDATING.plural
            for one in body["webhooks"]
        } == {POLICIES}


def lose_the_lease(made: Desk) -> None:
    """Let the Lease expire while the first configuration is written; the write itself succeeds."""

    async def late(_: web.Request) -> None:
        made.leads = False

    made.server.faults["PATCH", VALIDATING.plural].append(late)


async def test_a_look_ends_with_the_leadership() -> None:
    """A replica that stops leading during the first write does not send the second."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        made.edit(MUTATING, wipe)
        lose_the_lease(made)
        await made.step()

        assert bundle(made, DEFAULTS, MUTATING) == b""


async def test_no_apply_follows_a_patch_that_outlasts_the_leadership() -> None:
    """To remove other clients' additions may take longer than the Lease; the apply is the next leader's."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, lambda entries: (wipe(entries), turn_off(entries)))
        lose_the_lease(made)
        await made.step()

        assert bundle(made, POLICIES) == b""


async def test_a_former_leader_does_not_undo_the_write_of_the_next() -> None:
    """The bundle is read again before each write, since it may be old after the Lease expired."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)

        async def late(_: web.Request) -> web.Response:
            made.leads = False
            made.edit(MUTATING, lambda entries: entries[0]["clientConfig"].update(caBundle=encoded(BUNDLE + OTHER)))
            await made.see()
            return web.json_response(status_body(409, "Conflict", "it changed"), status=409)

        made.server.faults["PATCH", VALIDATING.plural].append(late)
        await made.step()

        assert bundle(made, DEFAULTS, MUTATING) == BUNDLE + OTHER


async def test_a_json_patch_whose_test_fails_is_a_conflict() -> None:
    """It is not a failure, and the next change is answered at once."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, turn_off)
        outrun = answer(422, "Invalid", "the server rejected our request due to an error in our request")
        made.server.faults["PATCH", VALIDATING.plural] += [outrun] * 6
        for _ in range(7):
            made.edit(VALIDATING, lambda _: None)
            await made.step()

        assert "never" not in [one["name"] for one in (made.entry(POLICIES) or {})["matchConditions"]]
        assert made.registrar.problem() is None


async def test_repeated_conflicts_without_a_new_state_are_a_problem() -> None:
    """If no event explains them, the problem shows them, and the watches are checked."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        made.server.always["PATCH", VALIDATING.plural] = answer(409, "Conflict", "it changed")
        for _ in range(12):
            await made.step()

        assert "it changed" in (made.registrar.problem() or "")
        assert made.reopened > 0


async def test_a_change_of_the_configuration_shortens_the_backoff() -> None:
    """After failures for minutes, a change leads to another write, at most once a second."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        made.server.always["PATCH", VALIDATING.plural] = answer(500, "InternalError", "etcd")
        for _ in range(480):
            await made.step()
        asked = len(made.server.asked("PATCH", VALIDATING.plural))
        for _ in range(40):
            made.edit(VALIDATING, lambda _: None)
            await made.step()
        again = len(made.server.asked("PATCH", VALIDATING.plural)) - asked
        made.server.always.pop(("PATCH", VALIDATING.plural))
        for _ in range(5):
            made.edit(VALIDATING, lambda _: None)
            await made.step()

        assert bundle(made, INSTANCES) == BUNDLE
        assert 5 <= again <= 11


async def test_a_problem_ends_with_the_leadership() -> None:
    """What a former leader could not write is reported by the next one."""
    async with desk() as made:
        await made.registered()
        made.edit(VALIDATING, wipe)
        made.server.faults["PATCH", VALIDATING.plural].append(answer(403, "Forbidden", "may not patch"))
        await made.step()
        told = made.registrar.problem()
        made.leads = False
        await made.step()

        assert "may not patch" in (told or "")
        assert made.registrar.problem() is None


@pytest.mark.parametrize("proven", [True, False])
async def test_a_wider_selector_is_narrowed_only_when_the_cluster_is_known(*, proven: bool) -> None:
    """Another client's selector of all namespaces is replaced by the list of them, with or without a proof."""
    async with desk() as made:
        await made.registered()
        if not proven:
            made.heartbeat.forget()
            made.refused = False
        everything = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}
        made.edit(VALIDATING, lambda entries: entries[-1].update(namespaceSelector=everything))
        known, made.eem = made.eem, None
        await made.step()
        kept = (made.entry(POLICIES) or {})["namespaceSelector"]
        made.eem = known
        await made.step()

        assert kept == everything
        assert made.namespaces == WHOLE


async def test_a_stale_store_removes_no_namespace() -> None:
    """A new leader whose store is too old for verdicts does not know where EEM runs."""
    time = FakeTime()
    store = Store(clock=time.clock())
    for kind in store.status:
        await take_list(store, kind, (), 1)
    fresh = known_namespaces(store, 300.0)
    time.now += 301.0

    assert (fresh, known_namespaces(store, 300.0)) == (frozenset(), None)
    assert known_namespaces(Store(), 300.0) is None


async def test_drift_gives_one_event_until_it_changes() -> None:
    """One Event for each configuration that differs, none while it stays the same, none when it is repaired."""
    async with desk() as made:
        made.edit(VALIDATING, lambda entries: entries[0].update(failurePolicy="Fail", timeoutSeconds=30))
        for _ in range(10):
            await made.step()
        made.edit(VALIDATING, lambda entries: entries[0].update(shipped(VALIDATING)[0]))
        await made.registered()

        ((reason, message),) = made.events

        assert reason == "ConfigurationDrift"
        assert 'failurePolicy is "Fail", not "Ignore"' in message
        assert "timeoutSeconds is 30, not 5" in message


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        ("stranger", "the Lease is held by stranger, which has not completed the registration for 30 s"),
        ("", "no replica holds the Lease, so the registration has been incomplete for 30 s"),
    ],
    ids=["another holder", "no holder"],
)
@pytest.mark.parametrize("lacks", ["a namespace", "a bundle"])
async def test_a_leader_that_does_not_write_is_a_problem_of_the_others(lacks: str, holder: str, problem: str) -> None:
    """A replica that does not lead sees that nothing is written, after the time in which another could lead."""
    async with desk() as made:
        await made.registered()
        made.leads, made.holder = False, holder
        await made.step()
        before = made.registrar.problem()
        if lacks == "a namespace":
            made.eem = frozenset({"eem", "young"})
        else:
            made.bundle = OTHER
        for _ in range(90):
            await made.step()
        early = made.registrar.problem()
        for _ in range(30):
            await made.step()
        late = made.registrar.problem()
        made.leads = True
        for _ in range(4):
            await made.step()

        assert (before, early, late) == (None, None, problem)
        assert made.registrar.problem() is None


async def test_a_complete_registration_is_no_problem_of_the_others() -> None:
    """Neither is one whose namespaces or authorities are not known, or that was deleted."""
    async with desk() as made:
        await made.registered()
        made.leads = False
        for _ in range(200):
            await made.step()
        complete = made.registrar.problem()
        made.eem, made.bundle = None, b""
        for _ in range(200):
            await made.step()
        unknown = made.registrar.problem()
        made.eem = frozenset({"eem"})
        made.server.delete(VALIDATING, NAME)
        for _ in range(200):
            await made.step()

        assert (complete, unknown) == (None, None)
        assert made.registrar.problem() == "validatingwebhookconfigurations is nothing, not there"


async def test_a_kind_in_an_unknown_version_gives_one_event_until_it_changes() -> None:
    """The Event is about the CustomResourceDefinition; when the note ends and comes again, there is another."""
    async with desk() as made:
        name = "eventgateways.events.ibm.com"
        made.notes = {name: "read as events.ibm.com/v1"}
        for _ in range(4):
            await made.step()
        made.notes = {}
        await made.step()
        made.notes = {name: "read as events.ibm.com/v1"}
        await made.step()

        assert made.events == [("UnknownVersion", "read as events.ibm.com/v1")] * 2


async def test_an_unexpected_error_does_not_end_the_registration(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the registration is complete a few looks later."""
    async with desk() as made:
        await made.see()
        made.stumbles = 1
        running = asyncio.create_task(made.registrar.run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await made.server.written_times("PATCH", VALIDATING, 2)
            await made.server.written_times("PATCH", MUTATING, 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert made.namespaces == WHOLE
        assert "a bug" in caplog.text


async def test_a_change_of_a_configuration_leads_to_a_look_at_once() -> None:
    """A wipe is repaired when the watch shows it, before the next regular look."""
    async with desk() as made:
        await made.registered()
        made.time.stands_still = True
        asked = len(made.server.asked("PATCH", VALIDATING.plural))
        running = asyncio.create_task(made.registrar.run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            for times in (1, 2):  # the first look may be what repairs the first
                made.edit(VALIDATING, wipe)
                await made.see()
                await made.server.written_times("PATCH", VALIDATING, asked + times)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert (bundle(made, INSTANCES), bundle(made, POLICIES)) == (BUNDLE, BUNDLE)


async def test_the_entry_for_cluster_wide_policies_comes_and_goes_with_their_kinds() -> None:
    """It does not exist without such a kind; it is `Ignore`, and written once."""
    async with desk() as made:
        await made.registered()
        assert made.entry(CLUSTER_POLICIES) is None

        made.cluster_policies = True
        await made.step()
        entry = made.entry(CLUSTER_POLICIES)
        assert entry is not None
        assert (entry["failurePolicy"], entry["clientConfig"]["caBundle"]) == ("Ignore", encoded(BUNDLE))
        writes = made.registrar.writes
        for _ in range(20):
            await made.step()
        assert made.registrar.writes == writes
        assert made.namespaces == WHOLE


async def test_the_entry_for_cluster_wide_policies_comes_after_the_first_refused_heartbeat() -> None:
    """Before, no review is known to arrive."""
    async with desk() as made:
        made.cluster_policies, made.refused = True, False
        for _ in range(20):
            await made.step()
        assert made.entry(CLUSTER_POLICIES) is None

        made.refused = True
        for _ in range(48):
            await made.step()
        assert made.entry(CLUSTER_POLICIES) is not None
