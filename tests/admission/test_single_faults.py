"""
No single fault turns a refusal into an allow.

While changes are judged that must be refused, every call on the way of a review is made to raise, one at a time, and
every look-up in a mapping and every part of the border to IO is made to return None. The result may be a refusal or an
exception; the server answers an exception with HTTP 500, and the failurePolicy decides. It must never be an allow: an
error that is swallowed on the way to a verdict would open the guard. docs/evidence/mutation.md says what this shows and
what it does not.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

import pytest
from builders import (
    NAME_LABEL,
    ApiObject,
    block,
    body,
    container_port,
    expression,
    from_,
    metadata,
    namespace,
    operator_deployment,
    owner,
    peer,
    pod,
    policy,
    port,
    review,
    selector,
    workload,
)

from admission.faulting import InjectedError, Site, Switchboard, switched
from admission.reviews import allow, default_deny, gateway, gateway_pod, manager, manager_pod

QUICK_CASES = 2
"""In how many cases each call fails in the test command; in the slow tests it fails in every case that reaches it."""

Edit = tuple[ApiObject | None, ApiObject | None]
"""The object afterwards and before; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    A change that must be refused.

    Args:
        objects: the cluster.
        options: settings of decisions, by name.
        earlier: edits that are admitted first and are still in flight.
    """

    objects: list[ApiObject]
    edit: Edit
    options: dict[str, Any] = field(default_factory=dict)
    earlier: tuple[Edit, ...] = ()


HERE = [namespace("eem"), namespace("shop"), gateway(), gateway_pod(), manager(), manager_pod()]
OPEN = [default_deny(), allow("allow-gw"), allow("allow-mgr", to="mgr", ports=(3000, 8081))]
EVERY_POD, EVERY_ADDRESS, EVERY_IPV6 = peer(namespaces={}), block("0.0.0.0/0"), block("::/0")
OFFICE = block("203.0.113.0/24")
WITH_APP = selector(expression("app", "Exists"))
NARROW = {"ipblock_matches_pods": "no"}
TOLD = {"pod_cidrs": ("10.244.0.0/16", "fd00::/64"), "ip_families": (4, 6)}
VERSIONED = allow("allow-gw", resource_version="7", uid="u")
BAD = from_(block("300.0.0.0/8"), ports=[port(0), port(8092)])
PIGEONS, HOLES = "abcd", ("h0", "h1", "h2")
STRANGER = owner("Deployment", "gone")


def narrowed(*peers: ApiObject, **options: Any) -> Case:
    """Return the edit that leaves these peers of everyone who could reach the gateway."""
    return Case(objects=[*HERE, *OPEN], edit=(allow("allow-gw", *peers), OPEN[1]), options=options)


def fewer(before: list[ApiObject], after: list[ApiObject], **options: Any) -> Case:
    """Return the edit that leaves some peers of those who could reach the gateway."""
    old = allow("allow-gw", *before)
    return Case(objects=[*HERE, OPEN[0], old, OPEN[2]], edit=(allow("allow-gw", *after), old), options=options)


CASES = {
    "a lock-down before the allows": Case(objects=HERE, edit=(default_deny(), None)),
    "an allow deleted": Case(objects=[*HERE, *OPEN], edit=(None, OPEN[1])),
    "an allow deleted as it was last seen": Case(objects=[*HERE, OPEN[0], VERSIONED, OPEN[2]], edit=(None, VERSIONED)),
    "an allow narrowed as it was last seen": Case(
        objects=[*HERE, OPEN[0], VERSIONED, OPEN[2]],
        edit=(allow("allow-gw", OFFICE, resource_version="7", uid="u"), VERSIONED),
    ),
    "an allow narrowed to a team": narrowed(peer(namespaces=selector(team="a"))),
    "an allow narrowed to addresses": narrowed(block("10.0.0.0/8", "10.1.0.0/16")),
    "an allow narrowed to pods with a label, addresses kept": narrowed(
        peer(namespaces={}, pods=WITH_APP), EVERY_ADDRESS, **NARROW
    ),
    "an allow narrowed to most namespaces, addresses kept": narrowed(
        peer(namespaces=selector(expression(NAME_LABEL, "NotIn", "shop", "bank"))), EVERY_ADDRESS, **NARROW
    ),
    "an allow narrowed to terms that leave one pod out": narrowed(
        peer(namespaces={}, pods=WITH_APP),
        peer(namespaces={}, pods=selector(expression("app", "DoesNotExist"), expression("tier", "Exists"))),
        peer(
            namespaces={},
            pods=selector(
                expression("app", "DoesNotExist"), expression("tier", "DoesNotExist"), expression("zone", "NotIn", "a")
            ),
        ),
        EVERY_ADDRESS,
        **NARROW,
    ),
    "of two teams one is kept": fewer(
        [peer(namespaces=selector(expression("team", "In", "a", "b"))), EVERY_ADDRESS],
        [peer(namespaces=selector(team="a")), EVERY_ADDRESS],
        **NARROW,
    ),
    "a stored selector with a value that no label can have": Case(
        objects=[*HERE, OPEN[0], OPEN[2]],
        edit=(
            allow("allow-gw", OFFICE),
            allow("allow-gw", peer(namespaces=selector(expression("team", "In", "a", "a b"))), OFFICE),
        ),
        options=NARROW,
    ),
    "a team must have one label more": fewer(
        [peer(namespaces=selector(team="a")), peer(pods={}), EVERY_ADDRESS],
        [peer(namespaces=selector(team="a"), pods=WITH_APP), peer(pods={}), EVERY_ADDRESS],
        **NARROW,
    ),
    "an exception more": fewer(
        [EVERY_POD, block("0.0.0.0/0", "10.0.0.0/8")], [EVERY_POD, block("0.0.0.0/0", "8.0.0.0/6")]
    ),
    "IPv6 kept and IPv4 left out": narrowed(EVERY_POD, EVERY_IPV6, **TOLD),
    "pods by address where blocks admit pods": fewer(
        [block("10.244.0.0/16")], [block("10.244.0.0/17")], pod_cidrs=("10.244.0.0/16",), ipblock_matches_pods="yes"
    ),
    "pods by address where pods were seen": Case(
        objects=[*HERE, pod("web-0", "shop", ips=["10.244.7.7"]), *OPEN],
        edit=(allow("allow-gw", block("0.0.0.0/0", "10.244.0.0/16")), OPEN[1]),
        options={"ipblock_matches_pods": "yes"},
    ),
    "what is undecided, strictly": narrowed(EVERY_ADDRESS, strict=True),
    "an allow turned to another port": Case(objects=[*HERE, *OPEN], edit=(allow("allow-gw", ports=(9092,)), OPEN[1])),
    "an allow turned to a range beside": Case(
        objects=[*HERE, *OPEN],
        edit=(
            policy(
                "allow-gw",
                policy_types=["Ingress"],
                ingress=[from_(ports=[port(8093, "TCP", 9000), port(8092, "UDP"), port("kafka", "TCP")])],
            ),
            OPEN[1],
        ),
    ),
    "a name that stands for another port": Case(
        objects=[*HERE[:3], gateway_pod(ports=[container_port(8092, "kafka"), container_port(80, "web")]), *OPEN],
        edit=(allow("allow-gw", ports=("web",)), allow("allow-gw", ports=("kafka",))),
    ),
    "pods assumed": Case(objects=[namespace("eem"), gateway()], edit=(default_deny(), None)),
    "only a template": Case(
        objects=[namespace("eem"), gateway(), workload("gw-ibm-egw-gateway")], edit=(default_deny(), None)
    ),
    "an allow that is about to go": Case(
        objects=[*HERE, OPEN[0], allow("allow-old", terminating=True), OPEN[1], OPEN[2]], edit=(None, OPEN[1])
    ),
    "an allow that is going, narrowed": Case(
        objects=[*HERE, *OPEN],
        edit=(allow("allow-gw", OFFICE, terminating=True), allow("allow-gw", terminating=True)),
    ),
    "a selector moved to other pods": Case(
        objects=[*HERE, *OPEN], edit=(allow("allow-gw", to="mgr", ports=(3000,)), OPEN[1])
    ),
    "an owner that is none": Case(
        objects=[*HERE, *OPEN], edit=({**OPEN[1], "metadata": metadata("allow-gw", "eem", owners=[STRANGER])}, OPEN[1])
    ),
    "an allow that is made without a name": Case(
        objects=HERE, edit=(allow(None, OFFICE), None), options={"operator_service_account": "a/b"}
    ),
    "a narrowing beside others that are narrow": Case(
        objects=[
            namespace("eem", annotations={"eem-guardrail.io/mode": "enforce", "eem-guardrail.io/sources": "anywhere"}),
            *HERE[1:],
            *OPEN,
            allow("allow-others", peer(namespaces=selector(team="b")), peer(namespaces=selector(team="c")), OFFICE),
            allow("allow-more", peer(pods=selector(expression("app", "NotIn", "a"))), EVERY_IPV6),
        ],
        edit=(allow("allow-gw", peer(pods=selector(expression("app", "NotIn", "b", "c")))), OPEN[1]),
    ),
    "two choices apart that must be made": narrowed(
        *(
            peer(
                namespaces={},
                pods=selector(
                    *(expression(key, "In" if x else "NotIn", "x") for key, x in zip(keys, bits, strict=True))
                ),
            )
            for keys in ("abc", "def")
            for bits in product((False, True), repeat=3)
            if sum(bits) % 2 == 0
        ),
        EVERY_ADDRESS,
        **NARROW,
    ),
    "a choice of which most fail": narrowed(
        *(peer(namespaces={}, pods=selector(expression(key, "NotIn", *HOLES))) for key in PIGEONS),
        *(
            peer(namespaces={}, pods=selector(**{one: hole, two: hole}))
            for hole in HOLES
            for one, two in combinations(PIGEONS, 2)
            if (hole, one, two) != ("h2", "c", "d")
        ),
        EVERY_ADDRESS,
        **NARROW,
    ),
    "what cannot be read before, strictly": Case(
        objects=[*HERE, OPEN[0], OPEN[2]],
        edit=(allow("allow-gw", OFFICE), allow("allow-gw", OFFICE, {"podSelector": "x"})),
        options={"strict": True},
    ),
    "what cannot be read afterwards, strictly": Case(
        objects=[*HERE, OPEN[0], OPEN[2]],
        edit=(
            policy("p", ingress=[BAD], policy_types=["Ingress"]),
            policy("p", ingress=[BAD, {}], policy_types=["Ingress"]),
        ),
        options={"strict": True},
    ),
    "no types, and an egress section": Case(
        objects=HERE,
        edit=(policy("new", egress=[{}], ingress=[from_(ports=[{"protocol": "UDP"}, port("x" * 15)])]), None),
    ),
    "a policy with a fault at every turn": Case(
        objects=HERE,
        edit=(
            policy(
                "bad",
                pod_selector=selector(
                    expression("a b", "Exists", "x"),
                    expression("a", "In"),
                    expression("a", "Near"),
                    {"operator": 1},
                    7,
                    a="b c",
                ),
                policy_types=["Ingress", "Egress", "Sideways", 7],
                ingress=[
                    7,
                    {"from": 7, "ports": 7},
                    {
                        "from": [
                            7,
                            {},
                            {"ipBlock": 7},
                            {"ipBlock": {"cidr": "x"}},
                            {"ipBlock": {"cidr": None}},
                            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8", "::/0", 7]}},
                            {"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}},
                            {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}},
                            {"podSelector": {"matchLabels": {"a": True}}},
                        ],
                        "ports": [
                            7,
                            {"protocol": "ICMP"},
                            {"port": "-"},
                            {"port": "web", "endPort": 7},
                            {"endPort": 7},
                            {"port": 10, "endPort": 7},
                            {"port": 10**6},
                            {"port": 1.5},
                            {"port": True},
                            {"endPort": {}},
                        ],
                    },
                ],
            ),
            None,
        ),
    ),
    "the last of some sources": fewer([OFFICE], [block("127.0.0.0/8")], sources="some"),
    "the last of some pods": fewer([peer(pods={})], [block("127.0.0.0/8")], sources="some"),
    "the operator's port": Case(
        objects=[namespace("eem"), operator_deployment(), default_deny(), allow("allow-op", to=None, ports=(8443,))],
        edit=(allow("allow-op", to=None, ports=(8444,)), allow("allow-op", to=None, ports=(8443,))),
    ),
    "two edits that are a break together": Case(
        objects=[*HERE, *OPEN, allow("allow-gw-too")], edit=(None, OPEN[1]), earlier=((None, allow("allow-gw-too")),)
    ),
    "five edits in flight": Case(
        objects=[*HERE, *OPEN, *(allow(f"allow-gw-{n}") for n in range(5))],
        edit=(None, OPEN[1]),
        earlier=tuple((None, allow(f"allow-gw-{n}")) for n in range(5)),
    ),
    "a policy that cannot be understood": Case(objects=HERE, edit=(policy("bad", ingress=[{"from": [{}]}]), None)),
}


def raises(*_: Any, **__: Any) -> None:
    """Replace a call: it fails."""
    raise InjectedError


def returns_none(*_: Any, **__: Any) -> None:
    """Replace a look-up: it misses."""


class Border:
    """
    What a judge gets from outside: the cache, the live list and the clock.

    Args:
        broken: the part that returns None.
    """

    def __init__(self, snapshot: Any, stored: list[ApiObject], broken: str = "") -> None:
        self.has_synced = None if broken == "has_synced" else True
        self.follows_policies = None if broken == "follows_policies" else True
        self.snapshot = None if broken == "snapshot" else snapshot
        self._stored = None if broken == "live" else stored
        self._now = None if broken == "clock" else 1000.0

    def subscribe(self, _listener: Callable[[], None]) -> None:
        """Do nothing: the cache does not change."""

    async def wait_until(self, _condition: Callable[[], bool]) -> None:
        """Time out: the watch shows no outcome."""
        raise TimeoutError

    async def live(self, _namespace: str) -> Any:
        return self._stored

    def now(self) -> Any:
        return self._now


class Way:
    """The way of a review with switches, from the bytes of the request to the bytes of the answer."""

    def __init__(self, board: Switchboard, modules: Mapping[str, Any], runner: asyncio.Runner) -> None:
        self.board = board
        self._admission = modules["webhook.admission"]
        self._eem = modules["webhook.eem"]
        self._judge = modules["webhook.guard.judging"].PolicyJudge
        self._pod_ranges = modules["webhook.admission.options"].pod_ranges
        self._runner = runner
        self._snapshots: dict[int, Any] = {}

    def ready(self, case: Case, broken: str = "") -> Callable[[], bool]:
        """
        Return a function that judges a case once, on a snapshot of its own, so that no result is kept from before.

        It returns whether the last edit is allowed after all earlier ones were admitted.
        """
        stored = [known for known in case.objects if known["kind"] == "NetworkPolicy"]
        border = Border(self._snapshot(case), stored, broken)
        options = self._admission.Options(**case.options)
        judge = self._judge(border, options, border.live, monotonic=border.now)
        self._pod_ranges.cache_clear()
        bodies = [body(review(*edit)) for edit in (*case.earlier, case.edit)]

        async def is_allowed(asked: bytes) -> bool:
            request = self._admission.decode_review(asked)
            response = await judge(request)
            return b'"allowed":true' in self._admission.encode_review(request, response)

        async def are_allowed() -> bool:
            return all([await is_allowed(asked) for asked in bodies])

        return lambda: self._runner.run(are_allowed())

    def _snapshot(self, case: Case) -> Any:
        """Return the cluster of a case: the same objects each time, but nothing that earlier decisions found out."""
        key = id(case)
        if key not in self._snapshots:
            self._snapshots[key] = self._eem.EemSnapshot.from_objects(case.objects)
        snapshot = self._snapshots[key]
        namespaces = snapshot.eem
        for name, known in snapshot.eem.items():
            namespaces = namespaces.insert(name, replace(known))
        return replace(snapshot, eem=namespaces)

    def allowed_by(self, case: Case, *, site: Site | None = None, failure: Any = None, broken: str = "") -> bool:
        """Whether a case is allowed while one call or one part of the border fails."""
        judge = self.ready(case, broken)
        with self.board.broken(site, failure):
            try:
                return judge()
            except Exception:  # noqa: BLE001  the server answers every exception with HTTP 500 or 503, which is no allow
                return False


@pytest.fixture(scope="module")
def way() -> Iterator[Way]:
    names = ("webhook.admission", "webhook.admission.options", "webhook.eem", "webhook.guard.judging")
    with switched(*names) as (board, modules), asyncio.Runner() as runner:
        yield Way(board, dict(zip(names, modules, strict=True)), runner)


def reached_by(case: Case, way: Way) -> set[Site]:
    """Return the calls that a case reaches, which must be refused."""
    judge = way.ready(case)
    with way.board.recording() as reached:
        assert not judge()
    assert len(reached) > 100
    assert reached <= way.board.sites
    return set(reached)


def turned_by(case: Case, sites: set[Site], way: Way) -> list[Site]:
    """Return the calls that turn the refusal of a case into an allow when they raise, or when a look-up misses."""
    turned = [site for site in sorted(sites) if way.allowed_by(case, site=site, failure=raises)]
    look_ups = sorted(sites & way.board.look_ups)
    return turned + [site for site in look_ups if way.allowed_by(case, site=site, failure=returns_none)]


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage: within a named tuple, which has no builtins, a lost coroutine cannot be reported."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()  # the coroutines of tasks that did not start, while the filter of the test holds


@pytest.mark.timeout(600)  # hundreds of reviews for each case
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # where the call fails that would start a task
def test_no_single_fault_turns_a_refusal_into_an_allow_in_the_first_cases(way: Way) -> None:
    """Each call fails in the first two cases that reach it."""
    times: Counter[Site] = Counter()
    with uncollected():
        for name, case in CASES.items():
            sites = {site for site in reached_by(case, way) if times[site] < QUICK_CASES}
            times.update(sites)

            assert turned_by(case, sites, way) == [], name


@pytest.mark.slow
@pytest.mark.timeout(600)  # hundreds of reviews each
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("name", CASES)
def test_no_single_fault_turns_a_refusal_into_an_allow(name: str, way: Way) -> None:
    """Each call that the case reaches raises once, and each look-up in a mapping misses once."""
    case = CASES[name]
    with uncollected():
        assert turned_by(case, reached_by(case, way), way) == []


@pytest.mark.parametrize("broken", ["has_synced", "follows_policies", "snapshot", "live", "clock"])
def test_no_border_that_returns_none_turns_a_refusal_into_an_allow(broken: str, way: Way) -> None:
    """The cache, the live list and the clock may fail; then there is a refusal or no verdict."""
    assert [name for name, case in CASES.items() if way.allowed_by(case, broken=broken)] == []
