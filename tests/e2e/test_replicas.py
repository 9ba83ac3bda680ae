"""Replicas start and stop: which one judges a change, and what happens while none runs."""

from harness.guard import Guard
from harness.objects import LICENSE, allow, deny_all, event_gateway, gateway, listed, namespace
from harness.place import Place

UNREGISTERED = "shop"


def test_restart_between_edits(place: Place, guard: Guard) -> None:
    """New replicas know what was there before them: the edit after a restart is judged with those before it."""
    place.set_up(*gateway(place.name))
    place.passed(place.apply(allow(place.name, "allow-kafka", "gw", [8092])), "CREATE", "allow-kafka")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")
    before = set(guard.replicas())

    guard.restart()
    text = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert "TCP/8092" in text
    assert before.isdisjoint(guard.replicas())
    assert guard.exits(before) == dict.fromkeys(before, (0, False))


def test_no_replica_at_all(place: Place, guard: Guard) -> None:
    """Without a replica, only changes that could break Event Endpoint Management are refused."""
    place.set_up_gateway()

    with guard.absent():
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
