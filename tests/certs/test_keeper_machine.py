"""For any sequence of events, every webhook entry trusts the pair that each replica serves."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulation import FAST, World, request_rotation

LAGS = st.sampled_from([0.0, 0.1, 0.5, 1.0])
NUMBERS = st.integers(min_value=0, max_value=2)


def truncated(data: dict[str, str]) -> None:
    data["tls.crt"] = data["tls.crt"][:400]


def torn(data: dict[str, str]) -> None:
    data["tls.key"] = data["ca.key"]


def emptied(data: dict[str, str]) -> None:
    data.clear()


def junk(data: dict[str, str]) -> None:
    data["ca.crt"] = base64.b64encode(b"-----BEGIN CERTIFICATE-----" * 30_000).decode()


def without_authority_key(data: dict[str, str]) -> None:
    data["ca.key"] = "AAAA"


DAMAGES = [truncated, torn, emptied, junk, without_authority_key]


class Keepers(RuleBasedStateMachine):
    """One to three replicas with lags. The world checks the invariant at every write and installation."""

    @initialize(replicas=st.integers(min_value=1, max_value=3), seed=st.integers(min_value=0, max_value=999))
    def begin(self, replicas: int, seed: int) -> None:
        self.world = World(replicas=replicas, seed=seed)
        self.jumped_ahead = False
        self.world.store.latency_seconds = 0.05
        self.world.start()
        self.world.run_until(lambda: all(each.served for each in self.world.replicas) and all(self.world.entries))

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 3.0, 7.0, 21.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule()
    def a_rotation_is_requested(self) -> None:
        if self.world.store.secret is not None:
            request_rotation(self.world)

    @rule(number=NUMBERS, watch=LAGS, view=LAGS, publish=LAGS)
    def lags_change(self, number: int, watch: float, view: float, publish: float) -> None:
        each = self._replica(number)
        each.watch_lag, each.view_lag, each.publish_lag = watch, view, publish

    @rule(number=NUMBERS)
    def another_leads(self, number: int) -> None:
        self.world.lead(self._replica(number))

    @rule()
    def no_replica_leads(self) -> None:
        self.world.lead(None)

    @rule(number=NUMBERS)
    def a_replica_is_killed(self, number: int) -> None:
        victim = self._replica(number)
        if self._secret_is_good() or any(
            each.lives and each.served is not None  # it has the authority in memory
            for each in self.world.replicas
            if each is not victim
        ):
            self.world.call(victim.kill)

    @rule(number=NUMBERS)
    def a_replica_starts(self, number: int) -> None:
        if not self._replica(number).lives:
            self.world.run_until(self._secret_is_good)
            self.world.start(self._replica(number))

    @precondition(lambda self: any(each.served for each in self.world.replicas))
    @rule()
    def the_secret_is_deleted(self) -> None:
        self.world.call(lambda: self.world.store.put(None, "delete"))

    @precondition(lambda self: any(each.served for each in self.world.replicas))
    @rule(damage=st.sampled_from(DAMAGES))
    def the_secret_is_damaged(self, damage: Callable[[dict[str, str]], None]) -> None:
        secret: dict[str, Any] | None = self.world.store.copy()
        if secret is not None and "ca.key" in secret["data"]:
            damage(secret["data"])
            self.world.call(lambda: self.world.store.put(secret, "damage"))

    @precondition(lambda self: self._secret_is_good())
    @rule()
    def the_api_server_is_unreachable(self) -> None:
        self.world.store.down = True
        self.world.run(2.0)
        self.world.store.down = False

    @rule(offset=st.sampled_from([-86_400.0 * 3650, -3600.0, 0.0]))
    def the_clocks_jump_back(self, offset: float) -> None:
        self.world.wall_offset = offset
        self.world.run(5.0)
        self.world.wall_offset = 0.0

    @rule(offset=st.sampled_from([30.0, 3600.0, 86_400.0 * 3650]), seconds=st.sampled_from([2.0, 10.0]))
    def the_clocks_jump_ahead(self, offset: float, seconds: float) -> None:
        self.jumped_ahead = True
        self.world.wall_offset = offset
        self.world.run(seconds)
        self.world.wall_offset = 0.0

    @invariant()
    def trust_holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            with self.world:
                self._come_to_rest()

    def _come_to_rest(self) -> None:
        for each in self.world.replicas:
            each.watch_lag = each.view_lag = each.publish_lag = 0.0
            if not each.lives:
                self.world.start(each)
        self.world.lead(self.world.replicas[-1])
        self.world.run_until(self._secret_is_good)
        if self.jumped_ahead:  # an authority from the future is replaced only on request
            self.a_rotation_is_requested()
        self.world.run_until(self._all_is_well, seconds=200.0)
        self.world.check()

    def _all_is_well(self) -> bool:
        """Whether all replicas serve the pair of the Secret, and it is valid, and nothing is due."""
        if not self._secret_is_good():
            return False
        material = self.world.store.material()
        now = self.world.true_now()
        leaf = material.leaf.certificate
        fresh = leaf.not_valid_after_utc <= now + FAST.leaf + timedelta(seconds=1) and len(material.bundle) == 1
        return (
            (fresh or self.jumped_ahead)  # an authority from the future stays trusted until it ends
            and leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
            and all(entry == material.bundle_pem for entry in self.world.entries)
            and all(each.served and each.served.leaf.certificate == leaf for each in self.world.replicas)
            and all(each.keeper.problem() is None for each in self.world.replicas)
        )

    def _secret_is_good(self) -> bool:
        try:
            return self.world.store.material() is not None
        except (ValueError, AssertionError):
            return False

    def _replica(self, number: int) -> Any:
        return self.world.replicas[number % len(self.world.replicas)]


Keepers.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestKeepers = Keepers.TestCase
