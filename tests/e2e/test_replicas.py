"""Changes after a restart of all replicas, and changes while no replica runs."""

from harness.guard import Guard
from harness.objects import LICENSE, allow, deny_all, event_gateway, gateway, listed, namespace
from harness.place import Place

UNREGISTERED = "shop"


def test_new_replicas_know_what_was_there_before(place: Place, guard: Guard) -> None:
    """A change after a restart is judged together with the changes before it."""
    place.set_up(*gateway(place.name))
    place.passed(place.apply(allow(place.name, "allow-kafka", "gw", [8092])), "CREATE", "allow-kafka")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")
    before = set(guard.replicas())

    guard.restart()
    text = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert "TCP/8092" in text
    assert before.isdisjoint(guard.replicas())
    assert guard.exits(before) == dict.fromkeys(before, (0, False))


def test_without_a_replica_only_guarded_policies_cannot_be_changed(place: Place, guard: Guard) -> None:
    """Labels, instances, other namespaces and the deletion of the namespace are not blocked."""
    place.set_up_gateway()

    with guard.absent(at_once=True):
        refused = place.delete("allow-kafka")
        labelled = place.patch("allow-kafka", {"metadata": {"labels": {"team": "kafka"}}}, "merge")
        instance = place.apply(event_gateway(place.name, "unjudged", license={**LICENSE, "accept": False}))
        elsewhere = place.machine.kubectl(
            "create", "-f", "-", stdin=listed(*namespace(UNREGISTERED), deny_all(UNREGISTERED))
        )
        ended = place.machine.kubectl("delete", "namespace", place.name, "--timeout=45s")

    assert "failed calling webhook" in refused.stderr
    assert labelled.status == 0
    assert (instance.status, instance.stderr) == (0, "")
    assert elsewhere.status == 0
    assert ended.stdout == f'namespace "{place.name}" deleted\n'
