"""A keeper is killed at each point of a rotation: another one goes on, and every served certificate stays trusted."""

import pytest
from simulation import FAST, KilledError, Replica, World, request_rotation

from certs.authority import fingerprint

SLICES = 8  # the points are divided among so many tests


class Cut:
    """Kills the leader at its n-th point, or only counts the points."""

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
    Run a whole rotation in which the leader is killed once, until the old authority is removed.

    At every write, publication and installation, the world checks that every entry trusts every served certificate.
    """
    world = World(replicas=3)
    world.store.latency_seconds = 0.02
    for number, each in enumerate(world.replicas):
        each.watch_lag, each.view_lag, each.publish_lag = 0.1 * number, 0.2 * number, 0.6
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    first = world.store.material().bundle[0]
    request_rotation(world)
    world.passes = cut
    began = world.loop.time()
    while first in world.store.material().bundle:
        assert world.loop.time() - began < 60, f"killed at {cut.where!r}, and the rotation did not go on"
        world.run(0.25)
        dead = [each for each in world.replicas if not each.lives]
        if dead and others_lead:
            world.lead(world.replicas[1])
        for each in dead:
            world.start(each)
    world.run_until(lambda: all(each.served for each in world.replicas))
    return world


def points() -> int:
    """Count the points of a rotation in which no replica is killed."""
    counting = Cut(None)
    with rotate(counting, others_lead=False):
        return counting.passed


@pytest.mark.parametrize("others_lead", [False, True], ids=["the killed replica leads again", "another replica leads"])
@pytest.mark.parametrize("start", range(SLICES))
def test_a_rotation_ends_after_the_leader_is_killed_at_any_point(start: int, *, others_lead: bool) -> None:
    """The leader is killed before and after each request, in each wait, and between two publications."""
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


def test_a_rotation_passes_every_kind_of_point() -> None:
    """The leader is killed at reads, writes, publications and waits, before and after they take effect."""
    seen: set[str] = set()
    with rotate(Cut(None), others_lead=False) as world:
        world.passes = lambda _replica, what: seen.add(what)
        world.run(FAST.ca.total_seconds())

    assert seen == {"read", "read answered", "replace", "replace answered", "publish", "sleep"}
