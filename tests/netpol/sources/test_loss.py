"""What a change takes away, from anywhere or from the last source; and what cannot be decided about it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import sources_of
from netpol.hard_terms import pigeons
from webhook.netpol.indexes import PodAddresses
from webhook.netpol.intervals import address_of, holds, network
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import (
    BOUND_CLAUSE,
    EXCEPTION_CLAUSE,
    IPBLOCK_CLAUSE,
    UNREADABLE_CLAUSE,
    AddressWitness,
    Loss,
    address_facts,
    lost_from_anywhere,
    lost_from_some,
    only_pods_left,
)
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources, union_of
from webhook.netpol.sources.terms import EVERY_POD, NAME_KEY, admits
from webhook.netpol.sources.universe import UNICAST, IPBlockMatchesPods, Universe, pod_ranges_of

ALL_PODS = b.peer(namespaces={})
OWN_PODS = b.peer(pods={})
WEB = b.peer(pods=b.selector(app="web"), namespaces={})
ALL_V4 = b.block("0.0.0.0/0")
ALL_V6 = b.block("::/0")
OFFICE = b.block("203.0.113.0/24")
PODS_CIDR = "10.244.0.0/16"
UNREADABLE = Sources(unreadable=True)

PLAIN = Universe(pod_addresses=PodAddresses.of([address_of("10.244.0.7")]))
DUAL = Universe(families=(4, 6), pod_addresses=PodAddresses.of([address_of("10.244.0.7"), address_of("fd00::7")]))
IPV6_ONLY = Universe(families=(6,), pod_addresses=PodAddresses.of([address_of("fd00::7")]))
TOLD = Universe(pod_ranges=pod_ranges_of([PODS_CIDR]))
DUAL_NO = Universe(families=(4, 6), ipblock_matches_pods="no")
YES = Universe(ipblock_matches_pods="yes", pod_addresses=PodAddresses.of([address_of("10.244.0.7")]))
NO = Universe(ipblock_matches_pods="no", pod_addresses=PodAddresses.of([address_of("10.244.0.7")]))
TOLD_YES = Universe(pod_ranges=TOLD.pod_ranges, ipblock_matches_pods="yes")
TOLD_NO = Universe(pod_ranges=TOLD.pod_ranges, ipblock_matches_pods="no")


def worst(
    lost: Callable[[Sources, Sources, Universe, Answers], Loss | None],
    before: Sources,
    after: Sources,
    universe: Universe,
) -> Loss | None:
    """Return what is lost, if anything is, in a decision of its own."""
    return lost(before, after, universe, Answers())


def sure(witness: PodWitness | AddressWitness) -> Loss:
    return Loss(decided=True, witness=witness)


def only_ipv6(cidr: str) -> Loss:
    return Loss(decided=False, witness=AddressWitness(cidr=cidr), only_ipv6=True)


def perhaps(why: str, witness: PodWitness | AddressWitness | None = None) -> Loss:
    return Loss(decided=False, witness=witness, why_undecided=why)


ANY_POD = PodWitness(namespace_labels={}, pod_labels={})
WEB_POD = PodWitness(namespace_labels={}, pod_labels={"app": "web"})
STRANGER = PodWitness(namespace_labels={b.NAME_LABEL: "other"}, pod_labels={})


@pytest.mark.parametrize(
    ("before", "after", "universe"),
    [
        pytest.param(EVERYONE, EVERYONE, PLAIN, id="everyone stays"),
        pytest.param(NO_SOURCES, NO_SOURCES, PLAIN, id="nobody was admitted"),
        pytest.param(NO_SOURCES, EVERYONE, PLAIN, id="a repair"),
        pytest.param(sources_of(WEB), EVERYONE, PLAIN, id="everyone is more"),
        pytest.param(sources_of(WEB), sources_of(ALL_PODS), PLAIN, id="every pod is more"),
        pytest.param(sources_of(OFFICE), sources_of(ALL_V4), TOLD, id="every address is more"),
        pytest.param(EVERYONE, sources_of(ALL_PODS, ALL_V4), PLAIN, id="every pod and every IPv4 address is everyone"),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, ALL_V4, ALL_V6),
            DUAL,
            id="and with every IPv6 address in a dual-stack cluster",
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, ALL_V4, b.block("2000::/3"), b.block("fc00::/7")),
            DUAL,
            id="reserved ranges need not be admitted",
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, b.block("0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4")),
            PLAIN,
            id="nor need loopback and multicast",
        ),
        pytest.param(
            EVERYONE, sources_of(ALL_PODS, b.block("0.0.0.0/0", PODS_CIDR)), TOLD, id="nor the pods' own range"
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, ALL_V4, b.block("::/0", "fd00::/16")),
            DUAL,
            id="nor an IPv6 range that may be the pods'",
        ),
        pytest.param(EVERYONE, sources_of(ALL_V4), YES, id="blocks admit pods on this plugin"),
        pytest.param(
            sources_of(b.block(PODS_CIDR)), NO_SOURCES, TOLD_NO, id="a block of pods never admitted anyone on that one"
        ),
        pytest.param(
            sources_of(WEB, b.block(PODS_CIDR)),
            sources_of(b.block(PODS_CIDR)),
            TOLD_YES,
            id="a block still admits the pods, on this plugin",
        ),
        pytest.param(UNREADABLE, UNREADABLE, PLAIN, id="unreadable stays unreadable"),
        pytest.param(NO_SOURCES, UNREADABLE, PLAIN, id="nobody was admitted, and perhaps someone is now"),
    ],
)
def test_nothing_is_lost(before: Sources, after: Sources, universe: Universe) -> None:
    """This change takes nothing away."""
    assert worst(lost_from_anywhere, before, after, universe) is None


@pytest.mark.parametrize(
    ("before", "after", "universe", "loss"),
    [
        pytest.param(EVERYONE, NO_SOURCES, PLAIN, sure(ANY_POD), id="isolation without an allow: a pod"),
        pytest.param(EVERYONE, sources_of(ALL_PODS), PLAIN, sure(AddressWitness(cidr="32.0.0.0/3")), id="addresses"),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, ALL_V4),
            DUAL,
            only_ipv6("2000::/3"),
            id="0.0.0.0/0 admits no IPv6",
        ),
        pytest.param(
            sources_of(ALL_PODS, ALL_V4, ALL_V6),
            sources_of(ALL_PODS, ALL_V4, b.block("::/0", "2001:db8::/32")),
            DUAL,
            only_ipv6("2001:db8::/32"),
            id="an exception of IPv6 is new",
        ),
        pytest.param(
            sources_of(ALL_PODS, b.block("2001:db8::/32")),
            sources_of(ALL_PODS),
            IPV6_ONLY,
            only_ipv6("2001:db8::/32"),
            id="IPv6 addresses in a cluster without IPv4",
        ),
        pytest.param(
            sources_of(ALL_V4, ALL_V6),
            sources_of(ALL_V4),
            DUAL,
            only_ipv6("2000::/3"),
            id="pods keep their IPv4 addresses",
        ),
        pytest.param(
            sources_of(ALL_PODS, ALL_V6),
            sources_of(OWN_PODS),
            DUAL,
            sure(STRANGER),
            id="pods by their labels are lost in both families",
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, OFFICE),
            DUAL,
            sure(AddressWitness(cidr="32.0.0.0/3")),
            id="a loss of IPv4 counts beside one of IPv6",
        ),
        pytest.param(EVERYONE, sources_of(OWN_PODS, ALL_V4), NO, sure(STRANGER), id="pods of other namespaces"),
        pytest.param(sources_of(WEB), NO_SOURCES, PLAIN, sure(WEB_POD), id="an allow of pods is gone"),
        pytest.param(
            sources_of(OFFICE),
            NO_SOURCES,
            TOLD,
            sure(AddressWitness(cidr="203.0.113.0/24")),
            id="an allow of addresses is gone",
        ),
        pytest.param(
            sources_of(ALL_V4),
            sources_of(b.block("0.0.0.0/0", "203.0.113.0/24")),
            TOLD,
            sure(AddressWitness(cidr="203.0.113.0/24")),
            id="an exception is new",
        ),
        pytest.param(EVERYONE, sources_of(ALL_V4), NO, sure(ANY_POD), id="blocks admit no pods on this plugin"),
        pytest.param(
            EVERYONE, sources_of(ALL_V4), PLAIN, perhaps(IPBLOCK_CLAUSE, ANY_POD), id="blocks may or may not admit pods"
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, b.block("0.0.0.0/0", PODS_CIDR)),
            PLAIN,
            perhaps(EXCEPTION_CLAUSE, AddressWitness(cidr=PODS_CIDR)),
            id="an exception that may be the pods' range",
        ),
        pytest.param(
            EVERYONE,
            sources_of(ALL_PODS, b.block("0.0.0.0/0", PODS_CIDR, "203.0.113.0/24")),
            PLAIN,
            sure(AddressWitness(cidr="203.0.113.0/24")),
            id="beside one that surely is not",
        ),
        pytest.param(
            sources_of(b.block(PODS_CIDR)),
            NO_SOURCES,
            TOLD_YES,
            sure(ANY_POD),
            id="a block of pods is gone, on this plugin",
        ),
        pytest.param(
            sources_of(b.block(PODS_CIDR)),
            NO_SOURCES,
            TOLD,
            perhaps(IPBLOCK_CLAUSE, ANY_POD),
            id="on a plugin not known",
        ),
        pytest.param(
            sources_of(ALL_PODS),
            sources_of(b.block("127.0.0.0/8")),
            Universe(),
            sure(ANY_POD),
            id="no pod has loopback",
        ),
        pytest.param(
            sources_of(ALL_V4),
            NO_SOURCES,
            Universe(ipblock_matches_pods="yes"),
            sure(ANY_POD),
            id="a pod has some address, wherever it is",
        ),
        pytest.param(
            sources_of(WEB, b.block(PODS_CIDR)),
            sources_of(b.block(PODS_CIDR)),
            TOLD,
            perhaps(IPBLOCK_CLAUSE, WEB_POD),
            id="or may, on a plugin not known",
        ),
        pytest.param(
            sources_of(WEB, ALL_V4),
            sources_of(b.block("0.0.0.0/0", "10.244.0.0/24")),
            YES,
            sure(WEB_POD),
            id="a pod seen is in the exception",
        ),
        pytest.param(
            sources_of(ALL_PODS),
            sources_of(b.block("0.0.0.0/0", "10.9.0.0/24")),
            YES,
            perhaps(IPBLOCK_CLAUSE, ANY_POD),
            id="no pod seen is in the exception, but one may come",
        ),
        pytest.param(UNREADABLE, NO_SOURCES, PLAIN, perhaps(UNREADABLE_CLAUSE), id="what could not be read is gone"),
        pytest.param(
            sources_of(WEB),
            UNREADABLE,
            PLAIN,
            perhaps(UNREADABLE_CLAUSE, WEB_POD),
            id="what cannot be read may admit those who are lost",
        ),
        pytest.param(
            Sources(terms=sources_of(WEB).terms, unreadable=True),
            NO_SOURCES,
            PLAIN,
            sure(WEB_POD),
            id="a sure loss comes first",
        ),
    ],
)
def test_what_is_lost(before: Sources, after: Sources, universe: Universe, loss: Loss) -> None:
    """This change takes this away, and it is decided or not for this reason."""
    assert loss == worst(lost_from_anywhere, before, after, universe)


def test_a_search_that_is_given_up() -> None:
    """Where the search for a pod is given up, that is not decided, and a lost address still is."""
    many = frozenset(pigeons(12))
    after = Sources(terms=many, blocks=((4, UNICAST[4]),))

    assert worst(lost_from_anywhere, EVERYONE, after, NO) == perhaps(BOUND_CLAUSE)
    assert worst(lost_from_anywhere, EVERYONE, Sources(terms=many), NO) == sure(AddressWitness(cidr="32.0.0.0/3"))


def test_no_number_of_blocks_is_too_large() -> None:
    """Addresses are compared exactly, however many blocks there are, and without the steps of a search."""
    many = [
        b.block(f"{first}.{second}.{third}.0/25") for first in (11, 12) for second in range(200) for third in range(256)
    ]
    before, after = sources_of(*many), sources_of(*many[:-1])

    assert lost_from_anywhere(before, after, NO, Answers(steps=0)) == sure(AddressWitness(cidr="12.199.255.0/25"))


def test_a_repeated_question_is_answered_once() -> None:
    """Within one decision, the same sets get the same answer, and the same parts the same union."""
    answers, web, office = Answers(), sources_of(WEB), sources_of(OFFICE)
    first = lost_from_anywhere(web, office, NO, answers)

    assert lost_from_anywhere(web, office, NO, answers) is first
    assert answers.union_of((web, office)) is answers.union_of((web, office))
    assert answers.union_of((web, office)) == union_of((web, office))


@pytest.mark.parametrize(
    ("before", "after", "universe", "loss"),
    [
        pytest.param(EVERYONE, sources_of(WEB), PLAIN, None, id="some pods are left"),
        pytest.param(EVERYONE, sources_of(OFFICE), PLAIN, None, id="some addresses are left"),
        pytest.param(sources_of(WEB), sources_of(OFFICE), PLAIN, None, id="others may than before"),
        pytest.param(NO_SOURCES, NO_SOURCES, PLAIN, None, id="nobody could before"),
        pytest.param(NO_SOURCES, EVERYONE, PLAIN, None, id="a repair"),
        pytest.param(UNREADABLE, UNREADABLE, PLAIN, None, id="unreadable stays unreadable"),
        pytest.param(NO_SOURCES, UNREADABLE, PLAIN, None, id="nobody could, and perhaps someone can"),
        pytest.param(UNREADABLE, sources_of(WEB), PLAIN, None, id="perhaps someone could, and some can"),
        pytest.param(EVERYONE, NO_SOURCES, PLAIN, sure(ANY_POD), id="no source is left"),
        pytest.param(
            sources_of(b.block("2001:db8::/32")),
            NO_SOURCES,
            DUAL_NO,
            only_ipv6("2001:db8::/32"),
            id="the last sources are IPv6 addresses",
        ),
        pytest.param(sources_of(OFFICE), sources_of(ALL_V6), DUAL_NO, None, id="IPv6 addresses are left"),
        pytest.param(
            sources_of(WEB, ALL_V6), NO_SOURCES, DUAL_NO, sure(WEB_POD), id="the last sources are pods and IPv6"
        ),
        pytest.param(
            sources_of(OFFICE, ALL_V6),
            NO_SOURCES,
            DUAL_NO,
            sure(AddressWitness(cidr="203.0.113.0/24")),
            id="the last sources are of both families",
        ),
        pytest.param(sources_of(WEB), NO_SOURCES, PLAIN, sure(WEB_POD), id="the last pods are cut off"),
        pytest.param(
            sources_of(OFFICE),
            NO_SOURCES,
            TOLD,
            sure(AddressWitness(cidr="203.0.113.0/24")),
            id="the last addresses are",
        ),
        pytest.param(
            sources_of(WEB), sources_of(b.block("127.0.0.0/8")), PLAIN, sure(WEB_POD), id="loopback is nobody"
        ),
        pytest.param(
            sources_of(WEB), sources_of(ALL_V6), PLAIN, sure(WEB_POD), id="IPv6 is nobody where there is none"
        ),
        pytest.param(
            sources_of(WEB), sources_of(b.block(PODS_CIDR)), TOLD_NO, sure(WEB_POD), id="a block of pods admits none"
        ),
        pytest.param(sources_of(WEB), sources_of(b.block(PODS_CIDR)), TOLD_YES, None, id="or admits them"),
        pytest.param(
            sources_of(WEB), sources_of(b.block(PODS_CIDR)), TOLD, perhaps(IPBLOCK_CLAUSE), id="or that is not known"
        ),
        pytest.param(
            sources_of(b.block(PODS_CIDR)), NO_SOURCES, TOLD, perhaps(IPBLOCK_CLAUSE), id="nor whether it did before"
        ),
        pytest.param(
            sources_of(WEB), UNREADABLE, PLAIN, perhaps(UNREADABLE_CLAUSE), id="only unreadable parts are left"
        ),
    ],
)
def test_the_last_source(before: Sources, after: Sources, universe: Universe, loss: Loss | None) -> None:
    """From some source, only the last one can be lost."""
    assert loss == worst(lost_from_some, before, after, universe)


@pytest.mark.parametrize(
    ("before", "after", "is_so"),
    [
        pytest.param(EVERYONE, sources_of(WEB), True, id="everyone could"),
        pytest.param(sources_of(OFFICE), sources_of(WEB), True, id="addresses could"),
        pytest.param(sources_of(ALL_PODS), sources_of(WEB), False, id="only pods could before, too"),
        pytest.param(EVERYONE, EVERYONE, False, id="everyone can"),
        pytest.param(EVERYONE, sources_of(WEB, OFFICE), False, id="addresses can"),
        pytest.param(EVERYONE, NO_SOURCES, False, id="nobody can"),
    ],
)
def test_only_pods_are_left(before: Sources, after: Sources, is_so: bool) -> None:  # noqa: FBT001  a column
    """It is told where addresses could connect, and only selected pods still can."""
    assert is_so is only_pods_left(before, after)


# Laws, against trying every source that the sets can tell apart

BLOCKS = [
    b.block("10.244.0.0/16"),
    b.block("10.244.0.0/17"),
    b.block("0.0.0.0/0"),
    b.block("0.0.0.0/0", "10.244.0.0/16"),
    b.block("0.0.0.0/0", "10.0.0.0/8"),
    b.block("203.0.113.0/24"),
    b.block("127.0.0.0/8"),
]
SELECTORS = [ALL_PODS, OWN_PODS, WEB, b.peer(pods=b.selector(b.expression("app", "NotIn", "web")), namespaces={})]
SETS = st.just(EVERYONE) | st.lists(st.sampled_from([*BLOCKS, *SELECTORS]), min_size=1, max_size=3).map(
    lambda peers: sources_of(*peers)
)
EDGES = ["10.243.255.255", "10.244.0.0", "10.244.127.255", "10.244.128.0", "10.244.255.255", "10.245.0.0", "10.0.0.0"]
NUMBERS = [address_of(text)[1] for text in (*EDGES, "11.0.0.0", "203.0.113.7", "203.0.114.0", "127.0.0.1", "8.8.8.8")]
POD_RANGE = network(PODS_CIDR)[1]
LABELS = [{}, {"app": "web"}, {"app": "db"}]


def sources() -> Iterator[tuple[bool, int, str, dict[str, str]]]:
    """Yield (is it a pod, its address, its namespace, its labels) for every source that matters."""
    for number in NUMBERS:
        if POD_RANGE[0] <= number <= POD_RANGE[1]:
            yield from ((True, number, space, labels) for space, labels in product(("eem", "shop"), LABELS))
        elif holds(UNICAST[4], number):
            yield False, number, "", {}


def is_admitted(who: Sources, source: tuple[bool, int, str, dict[str, str]], setting: IPBlockMatchesPods) -> bool:
    is_pod, number, space, labels = source
    by_address = holds(who.block(4), number) and (not is_pod or setting == "yes")
    return who.everyone or by_address or (is_pod and admits(who.terms, {b.NAME_LABEL: space}, labels))


def lost_by_trying(before: Sources, after: Sources, setting: IPBlockMatchesPods, *, pods: bool) -> bool:
    return any(
        source[0] is pods and is_admitted(before, source, setting) and not is_admitted(after, source, setting)
        for source in sources()
    )


@given(SETS, SETS)
def test_losses_against_trying_every_source(before: Sources, after: Sources) -> None:
    """With the pod ranges told, a loss is found where there is one, and is decided where every plugin has it."""
    outside = lost_by_trying(before, after, "yes", pods=False)
    pods_yes, pods_no = (lost_by_trying(before, after, setting, pods=True) for setting in ("yes", "no"))
    expected = [
        (TOLD_YES, (outside or pods_yes, outside or pods_yes)),
        (TOLD_NO, (outside or pods_no, outside or pods_no)),
        (TOLD, (outside or pods_yes or pods_no, outside or (pods_yes and pods_no))),
    ]
    for universe, answer in expected:
        loss = worst(lost_from_anywhere, before, after, universe)

        assert answer == (loss is not None, loss is not None and loss.decided)


@given(SETS, SETS)
def test_the_last_source_against_trying_every_source(before: Sources, after: Sources) -> None:
    """With known pod ranges and a known plugin, the last source is lost if one was admitted and none is any more."""
    for universe in (TOLD_YES, TOLD_NO):
        setting = universe.ipblock_matches_pods
        had, has = (any(is_admitted(who, source, setting) for source in sources()) for who in (before, after))

        assert (worst(lost_from_some, before, after, universe) is not None) is (had and not has)


@given(SETS, st.sampled_from([PLAIN, DUAL, TOLD, YES, NO, TOLD_YES, TOLD_NO]))
def test_what_stays_loses_nothing(same: Sources, universe: Universe) -> None:
    """A set loses nothing to itself or to everyone, and an empty set loses nothing."""
    for lost in (lost_from_anywhere, lost_from_some):
        assert lost(same, same, universe, Answers()) is None
        assert lost(same, EVERYONE, universe, Answers()) is None
        assert lost(NO_SOURCES, same, universe, Answers()) is None


@given(SETS, SETS, st.sampled_from([PLAIN, DUAL, YES, NO]))
def test_telling_the_pod_ranges_never_contradicts(before: Sources, after: Sources, universe: Universe) -> None:
    """What is decided without the pod ranges is no other with those in which the pods seen are."""
    told = Universe(
        families=universe.families,
        pod_ranges=pod_ranges_of([PODS_CIDR, "fd00::/64"][: len(universe.families)]),
        ipblock_matches_pods=universe.ipblock_matches_pods,
    )
    guessed, known = (
        worst(lost_from_anywhere, before, after, universe),
        worst(lost_from_anywhere, before, after, told),
    )

    if guessed is None:
        assert known is None
    elif isinstance(guessed.witness, PodWitness) and guessed.decided:
        assert known is not None
        assert known.decided


def is_warned(loss: Loss | None) -> bool:
    return loss is not None and not loss.decided and not loss.only_ipv6


def is_silent(loss: Loss | None) -> bool:
    return loss is None or loss.only_ipv6


BOTH = st.sampled_from([lost_from_anywhere, lost_from_some])


@given(BOTH, SETS, SETS, st.sampled_from([(PLAIN, YES, NO), (TOLD, TOLD_YES, TOLD_NO)]))
def test_a_plugin_that_is_not_known_bounds_every_plugin(
    lost: Callable[[Sources, Sources, Universe, Answers], Loss | None],
    before: Sources,
    after: Sources,
    universes: tuple[Universe, Universe, Universe],
) -> None:
    """What is refused is lost on every plugin, where nothing is told none loses anything, and a warning stays one."""
    unknown, *known = (worst(lost, before, after, universe) for universe in universes)

    if unknown is not None and unknown.decided:
        assert all(loss is not None and loss.decided for loss in known)
    if is_silent(unknown):
        assert all(map(is_silent, known))
    if any(map(is_warned, known)):
        assert is_warned(unknown)


@given(
    BOTH, SETS, SETS, SETS, st.tuples(st.booleans(), st.booleans()), st.sampled_from([TOLD_YES, TOLD_NO, TOLD, PLAIN])
)
def test_a_part_that_cannot_be_read_bounds_whatever_it_admits(  # noqa: PLR0913, PLR0917  one for each choice
    lost: Callable[[Sources, Sources, Universe, Answers], Loss | None],
    before: Sources,
    after: Sources,
    hidden: Sources,
    unreadable: tuple[bool, bool],
    universe: Universe,
) -> None:
    """What is refused is lost whatever the part admits, and where nothing is told, nothing is lost."""
    sides = list(zip((before, after), unreadable, strict=True))
    blurred = [
        replace(known, unreadable=True) if is_hidden and not known.everyone else known for known, is_hidden in sides
    ]
    truth = [union_of((known, hidden)) if is_hidden else known for known, is_hidden in sides]
    found, real = worst(lost, *blurred, universe), worst(lost, *truth, universe)

    if found is not None and found.decided:
        assert real is not None
        assert real.decided
    if is_silent(found):
        assert is_silent(real)


@given(BOTH, SETS, SETS, st.sampled_from([TOLD_YES, TOLD_NO]))
def test_where_everything_is_known_every_loss_is_decided(
    lost: Callable[[Sources, Sources, Universe, Answers], Loss | None],
    before: Sources,
    after: Sources,
    universe: Universe,
) -> None:
    """With the plugin and the pod ranges told, and every policy readable, there are refusals and no warnings."""
    assert not is_warned(worst(lost, before, after, universe))


def test_the_words_of_these_tests() -> None:
    """Everyone is every pod by label, and a peer without a namespace selector is in the policy's namespace."""
    assert EVERYONE.terms == {EVERY_POD}
    assert [key for term in sources_of(OWN_PODS).terms for key, _ in term] == [NAME_KEY]


def test_addresses_of_pods_tell_nothing_where_their_ranges_are_told() -> None:
    """Pods come and go within the ranges; without ranges it matters whether a pod has an address outside the block."""
    some = Sources(blocks=((4, ((0x0A000000, 0x0AFFFFFF),)),))  # 10.0.0.0/8
    elsewhere = Universe(pod_addresses=PodAddresses.of([address_of("192.168.0.7")]))

    assert address_facts(some, TOLD) == ()
    assert address_facts(EVERYONE, PLAIN) == ()
    assert address_facts(some, PLAIN) == (False,)
    assert address_facts(some, elsewhere) == (True,)
