"""The standing of a subject: which policies isolate it, and what each admits to its ports."""

from itertools import pairwise, product

import pytest
from builders import ApiObject, eem_labels, expression, from_, instance, peer, pod, policy, port, selector

from webhook.eem import EemSnapshot
from webhook.eem.standing import PortStanding, Standing, standing_of
from webhook.netpol.model import NetworkPolicy, Protocol
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import read_pod
from webhook.netpol.reading import Faults
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, union_of

PORT = (Protocol.TCP, 8092)
POD = read_pod(pod("gw-0", labels=eem_labels("gw")), Faults())
EVERY_POD, WEB = from_(peer(namespaces={})), from_(peer(pods=selector(app="web")))


def parsed(api_object: ApiObject) -> NetworkPolicy:
    return read_policy(api_object)[0]


def admitting(name: str, *rules: ApiObject, **fields: bool) -> NetworkPolicy:
    return parsed(policy(name, ingress=list(rules), **fields))


DENY, OPEN = admitting("deny"), admitting("open", from_())
PODS, SOME = admitting("pods", EVERY_POD), admitting("some", WEB)
OTHER_PORT = admitting("other", from_(ports=[port(80)]))
ELSEWHERE = parsed(policy("elsewhere", pod_selector=selector(app="db")))
GOING = admitting("going", from_(), terminating=True)
ALL = (DENY, OPEN, PODS, SOME, OTHER_PORT, ELSEWHERE, GOING)


def at_port(*policies: NetworkPolicy) -> PortStanding:
    return standing_of(POD, [PORT], policies).ports[PORT]


def parts(standing: Standing) -> tuple[object, ...]:
    return standing.isolating, list(standing.names_in_order), standing.terminating, standing.ports


def test_what_all_policies_admit_and_all_but_one() -> None:
    """The total is the union; it is the same object where the policy admits what it did."""
    port_standing = at_port(DENY, PODS, SOME)
    pods, some = PODS.ingress[0].admits, SOME.ingress[0].admits

    assert port_standing.total == union_of((pods, some))
    assert port_standing.total_with("pods", NO_SOURCES, Answers()) == some
    assert port_standing.total_with("some", NO_SOURCES, Answers()) == pods
    assert port_standing.total_with("some", pods, Answers()) == pods
    assert port_standing.total_with("deny", NO_SOURCES, Answers()) is port_standing.total
    assert port_standing.total_with("pods", pods, Answers()) is port_standing.total


def test_everyone_is_admitted_while_one_policy_admits_everyone() -> None:
    """Without the only policy that admits everyone, the others count; with a second one, everyone is admitted."""
    assert at_port(OPEN, SOME).total_with("open", NO_SOURCES, Answers()) == SOME.ingress[0].admits
    assert at_port(OPEN, SOME).total_with("some", NO_SOURCES, Answers()) == EVERYONE
    assert at_port(OPEN, admitting("open-too", from_())).total_with("open", NO_SOURCES, Answers()) == EVERYONE
    assert at_port(SOME).total_with("open", EVERYONE, Answers()) == EVERYONE
    assert at_port(OTHER_PORT).total == NO_SOURCES


@pytest.mark.parametrize("order", [ALL, ALL[::-1]], ids=["in order", "in reverse"])
def test_a_standing_that_is_carried_on_is_what_a_new_look_finds(order: tuple[NetworkPolicy, ...]) -> None:
    """Policies are added, turned into others of the same name, and deleted; each time both standings are equal."""
    states: list[dict[str, NetworkPolicy]] = [{}]
    for known in order:
        states.append({**states[-1], known.name: known})
    for known, other in pairwise(order):
        renamed = parsed(policy(known.name, ingress=[WEB])) if other is DENY else known
        states.append({**states[-1], known.name: renamed})
    for known in order:
        states.append({name: value for name, value in states[-1].items() if name != known.name})
    standing = standing_of(POD, [PORT], ())
    for before, after in pairwise(states):
        for name in before.keys() | after.keys():
            if before.get(name) is not after.get(name):
                standing = standing.with_policy(name, after.get(name))

        assert parts(standing) == parts(standing_of(POD, [PORT], after.values()))


def test_a_policy_that_changes_nothing_for_a_subject_changes_no_value() -> None:
    """The standing stays the same object beside a policy for other pods, and the ports beside one for another port."""
    standing = standing_of(POD, [PORT], (DENY, SOME))

    assert standing.with_policy("elsewhere", ELSEWHERE) is standing
    assert standing.with_policy("unknown", None) is standing
    for name, known in (("other", OTHER_PORT), ("some", SOME)):
        assert standing.with_policy(name, known).ports[PORT] is standing.ports[PORT]


def test_standings_that_were_found_out_beforehand_are_the_same_objects() -> None:
    """A namespace with known standings has these, and no others."""
    objects = [instance("gw", kind="EventGateway"), policy("deny"), policy("open", ingress=[EVERY_POD])]
    view = EemSnapshot.from_objects(objects).eem["eem"]
    found = dict(view.find_standings())
    standings = view.with_standings(found).standings

    assert standings == view.standings != {}
    assert all(standings[key] is found[key] for key in found)


def test_namespaces_are_equal_whenever_their_objects_were_found_out() -> None:
    """A namespace equals one with the same objects and policies of which nothing was asked yet, and nothing else."""
    objects = [instance("gw", kind="EventGateway"), policy("deny")]
    asked, fresh = (EemSnapshot.from_objects(objects).eem["eem"] for _ in range(2))
    other = EemSnapshot.from_objects(objects[:1]).eem["eem"]

    assert asked.guarded
    assert asked == fresh
    assert asked != other
    assert asked != objects


def selecting(name: str, **fields: ApiObject) -> ApiObject:
    return policy(name, pod_selector=selector(**fields), ingress=[EVERY_POD])


BY_ROLE = (
    selecting("by-role", role="a"),
    selecting("by-both", role="b", tier="x"),
    policy("not-a", pod_selector=selector(expression("role", "NotIn", "a")), ingress=[WEB]),
    policy("no-tier", pod_selector=selector(expression("tier", "DoesNotExist"))),
    policy("deny"),
)
LABELS = ({}, {"role": "a"}, {"role": "b"}, {"role": "b", "tier": "x"}, {"tier": "y"}, {"role": "a", "tier": "x"})


@pytest.mark.parametrize("changed", [None, selecting("by-role", tier="x"), policy("no-tier")], ids=["", "one", "other"])
def test_a_subject_with_new_labels_has_the_standing_that_a_new_look_finds(changed: ApiObject | None) -> None:
    """From each set of labels to each other one, also after a policy has got another selector."""
    for first, second in product(LABELS, repeat=2):
        snapshot = EemSnapshot.from_objects([instance("gw", kind="EventGateway"), *BY_ROLE])
        snapshot = snapshot.with_object(pod("gw-0", labels=eem_labels("gw", **first)))
        assert snapshot.eem["eem"].standings
        if changed is not None:
            snapshot = snapshot.with_object(changed).without_object("NetworkPolicy", "eem", "deny")
        view = snapshot.with_object(pod("gw-0", labels=eem_labels("gw", **second))).eem["eem"]
        for key, standing in view.standings.items():
            assert standing.pod.labels == dict(key[0])
            assert parts(standing) == parts(standing_of(standing.pod, key[-1], view.policies.values()))
