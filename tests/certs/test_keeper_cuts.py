"""A keeper that dies at any point of a rotation: the next one goes on, and nobody is distrusted meanwhile."""

import pytest
from simulation import FAST, KilledError, Replica, World

from certs.authority import fingerprint
from certs.secret import with_request

SLICES = 8  # the points are spread over as many tests


class Cut:
    """Kills the replica that leads at one point of its own; counts the points where none is given."""

    def __init__(self, at: int | None) -> None:
        self.at, self.passed, self.where = at, 0, ""

    def __call__(self, replica: Replica, what: str) -> None:
        if replica.world.leader is not replica:
            return
        self.passed += 1
        if self.passed == self.at:
            self.where = what
            raise KilledError(what)


def rotate(cut: Cut, *, others_lead: bool) -> World:
    """
    Run a whole rotation with one death in it, and end when the old authority is gone.

    The world checks at every write, publication and install that whatever is served is trusted by every entry.
    """
    world = World(replicas=3)
    world.store.latency_seconds = 0.02
    for number, each in enumerate(world.replicas):
        each.watch_lag, each.view_lag, each.publish_lag = 0.1 * number, 0.2 * number, 0.6
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    first = world.store.material().bundle[0]
    world.call(lambda: world.store.put(with_request(world.store.secret or {}, world.true_now()), "ask"))
    world.passes = cut
    began = world.loop.time()
    while first in world.store.material().bundle:
        assert world.loop.time() - began < 60, f"died at {cut.where!r} and never went on"
        world.run(0.25)
        dead = [each for each in world.replicas if not each.lives]
        if dead and others_lead:
            world.lead(world.replicas[1])
        for each in dead:
            world.start(each)
    world.run_until(lambda: all(each.served for each in world.replicas))
    return world


def points() -> int:
    """Count the points of a rotation in which nobody dies."""
    counting = Cut(None)
    with rotate(counting, others_lead=False):
        return counting.passed


@pytest.mark.parametrize("others_lead", [False, True], ids=["comes back and leads", "another leads"])
@pytest.mark.parametrize("start", range(SLICES))
def test_a_rotation_survives_a_death_at_any_point(start: int, *, others_lead: bool) -> None:
    """Before and after each request, in each wait, and between two entries: one new authority in the end."""
    total = points()
    places = set()
    for at in range(1 + start, total + 1, SLICES):
        cut = Cut(at)
        with rotate(cut, others_lead=others_lead) as world:
            places.add(cut.where)
            material = world.store.material()

            assert len(material.bundle) == 1
            assert {each.authority for each in world.replicas} == {fingerprint(material.bundle[0])}
            assert world.checked > 10
    assert total > 40
    assert places


def test_every_kind_of_point_is_passed() -> None:
    """The deaths above are at reads, writes, publications and waits, each before and after it took effect."""
    seen: set[str] = set()
    with rotate(Cut(None), others_lead=False) as world:
        world.passes = lambda _replica, what: seen.add(what)
        world.run(FAST.ca.total_seconds())

    assert seen == {"read", "read answered", "replace", "replace answered", "publish", "sleep"}
