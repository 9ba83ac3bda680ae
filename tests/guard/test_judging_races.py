"""
Random orders in which reviews, writes, lists and watch events can come, with an API server in the test.

It keeps the promises of the real one: a verdict is bound to the version for which it was given, an admitted change may
fail, a list is as new as the moment at which it is read, and a watch brings every change, in order, late.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from itertools import product
from typing import Any

import pytest
from builders import GATEWAY_KIND, ApiObject, body, eem_labels, from_, instance, namespace, pod, policy, port, review
from builders import selector as labels
from known_cluster import KnownCluster

from webhook.admission import Options, decide, decode_review
from webhook.admission.inflight import SETTLE_SECONDS
from webhook.eem import EemSnapshot
from webhook.guard.judging import PolicyJudge

WORLD = (
    namespace("eem"),
    instance("gw", kind=GATEWAY_KIND),
    pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw")),
)
NAMES = ("a", "b", "deny")
RUNS = 25  # for each seed
FAILING = 0.2  # of what is admitted
WATCHING = 0.3  # of what happens while the watch has something to bring
WIDE, NARROW, DENY = "wide", "narrow", "deny"


def made(name: str, form: str) -> ApiObject:
    """Return a policy that admits everyone, one team, or no source."""
    peers = [{"podSelector": labels(team="one")}] if form == NARROW else []
    rules = [] if form == DENY else [from_(*peers, ports=[port(8092, "TCP")])]
    chosen = None if form == DENY else labels(**eem_labels("gw"))
    return policy(name, pod_selector=chosen, policy_types=["Ingress"], ingress=rules)


def is_open(stored: Mapping[str, ApiObject]) -> bool:
    """Whether everyone reaches the gateway: nothing isolates it, or a policy admits everyone."""
    rules = [rule for one in stored.values() for rule in one["spec"]["ingress"]]
    return not stored or any("from" not in rule for rule in rules)


class Simulation(KnownCluster):
    """One replica, one API server, and the requests and events between them."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(snapshot=EemSnapshot.from_objects(WORLD))
        self.rng = rng
        self.now = 1000.0
        self.stored: dict[str, ApiObject] = {}
        self.version = 0
        self.unseen: list[tuple[str, ApiObject | None]] = []
        self.turns: list[asyncio.Future[None]] = []
        self.past: dict[str, list[ApiObject | None]] = {name: [] for name in NAMES}
        self.free = False
        self.broken: list[str] = []
        self.wrong: list[str] = []
        self.judge = PolicyJudge(
            self, Options(), self.listed, monotonic=lambda: self.now, live_seconds=0.01, spacing_seconds=0
        )

    async def listed(self, namespace_name: str) -> Iterable[Mapping[str, Any]]:
        await self.turn()
        found = [one for one in self.stored.values() if one["metadata"]["namespace"] == namespace_name]
        await self.turn()
        return found

    # What happens

    async def turn(self) -> None:
        """Wait until the race continues this task: any other event may come before."""
        if self.free:
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.turns.append(mine)
        await mine

    def write(self, name: str, new: ApiObject | None) -> None:
        """Store a change, for the watch to bring."""
        was_open = is_open(self.stored)
        self.version += 1
        if new is None:
            del self.stored[name]
        else:
            known = self.stored.get(name)
            meta = dict(new["metadata"], resourceVersion=f"{self.version}")
            meta["uid"] = known["metadata"]["uid"] if known else meta["uid"]
            self.stored[name] = {**new, "metadata": meta}
        self.past[name].append(self.stored.get(name))
        self.unseen.append((name, self.stored.get(name)))
        if was_open and not is_open(self.stored):
            self.broken.append(f"{name} at version {self.version}")

    def watch(self) -> None:
        """Let the watch bring the oldest change that it has not brought."""
        name, new = self.unseen.pop(0)
        if new is None:
            self.see(self.snapshot.without_object("NetworkPolicy", "eem", name))
        else:
            self.see(self.snapshot.with_object(new))

    async def edit(self, name: str, form: str | None) -> None:
        """
        Make one edit as the API server does.

        It sends a review of the version that it has, which may be the previous one, and writes if that version is
        stored; otherwise it sends another review. A creation is reviewed before the API server looks for its name.
        """
        await self.turn()
        creates = form is not None and (name not in self.stored or self.rng.random() < 0.2)
        old = None if creates else self.rng.choice(self.past[name][-2:])
        while creates or old is not None:
            new = None if form is None else made(name, form)
            if new is not None:
                new["metadata"]["uid"] = f"{name}-{self.rng.random()}" if old is None else old["metadata"]["uid"]
            response = await self.judge(decode_review(body(review(new, old, name=name))))
            await self.turn()
            if not response.allowed or self.rng.random() < FAILING:
                return
            if self.stored.get(name) is old:
                self.write(name, new)
            if creates or self.stored.get(name) is old or self.past[name][-1] is not self.stored.get(name):
                return
            old = self.stored.get(name)

    async def play(self) -> None:
        """Begin with a gateway that is open, and let a few edits race."""
        for name, form in zip(NAMES, (WIDE, WIDE, DENY), strict=True):
            self.write(name, made(name, form))
        self.catch_up()
        await self.race(*(self.edit(*self.draw()) for _ in range(self.rng.randint(2, 7))))

    def draw(self) -> tuple[str, str | None]:
        name = self.rng.choice(NAMES)
        return name, self.rng.choice((None, DENY) if name == "deny" else (None, None, WIDE, NARROW))

    def catch_up(self) -> None:
        while self.unseen:
            self.watch()

    async def race(self, *racing: Coroutine[Any, Any, None]) -> None:
        """Continue one task or event after another until all are done."""
        tasks = [asyncio.create_task(one) for one in racing]
        while not all(one.done() for one in tasks):
            await asyncio.sleep(0)
            self.now += self.rng.uniform(0, 0.01)
            self.turns = [turn for turn in self.turns if not turn.done()]  # without lists that took too long
            if self.unseen and self.rng.random() < WATCHING:
                self.watch()
            elif self.turns:
                self.turns.pop(self.rng.randrange(len(self.turns))).set_result(None)
        await asyncio.gather(*tasks)

    async def compare(self) -> None:
        """Review every edit after the race: nothing is in flight, so each verdict is that of `decide`."""
        self.catch_up()
        self.now += SETTLE_SECONDS + 1
        for name, form in product(NAMES, (None, WIDE, NARROW, DENY)):
            old, new = self.stored.get(name), None if form is None else made(name, form)
            if old is not None or new is not None:
                asked = decode_review(body(review(new, old, name=name, dry_run=True)))
                expected = decide(asked, EemSnapshot.from_objects([*WORLD, *self.stored.values()]), Options())
                answer = await self.judge(asked)
                if answer.allowed is not expected.allowed:
                    self.wrong.append(f"{name} {form}: {answer.message}")


@pytest.mark.parametrize("seed", range(8))
async def test_in_no_order_is_ingress_lost_or_a_change_left_in_flight(seed: int) -> None:
    """Edits that one replica admits cut off no client in any order; after the race none of them counts."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(RUNS):
        simulation = Simulation(rng)
        await simulation.play()
        found.update(simulation.broken)
        simulation.free = True
        await simulation.compare()
        found.update(simulation.wrong)

    assert found == Counter()
