"""The steps of a plan are made on a real API server, with the guard in mode enforce, and none of them is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness.objects import Json, allow, deny_all, gateway, manager, namespace
from harness.place import Place

from webhook.cli import main


def plan_of(folder: Path, state: list[Json], before: list[Json], after: list[Json], capsys: Any) -> Json:
    """Return the plan from *before* to *after* as JSON."""
    for name, objects in (("state", state), ("before", before), ("after", after)):
        (folder / f"{name}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = [word for name in ("state", "before", "after") for word in (f"--{name}", str(folder / f"{name}.json"))]
    main(["plan", *words, "-o", "json"])
    found: Json = json.loads(capsys.readouterr().out)
    return found


def follow(place: Place, found: Json, after: list[Json]) -> None:
    """Make every step of a plan with kubectl, and see that each is admitted."""
    objects = {one["metadata"]["name"]: one for one in after}
    for step in found["steps"]:
        name = step["resource"]["name"]
        if step["operation"] == "DELETE":
            place.passed(place.delete(name), "DELETE", name)
        else:
            answer = place.apply(step["object"] or objects[name])
            place.passed(answer, step["operation"], name)


def test_a_renamed_policy_is_replaced_without_a_refusal(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the files, the deletion would be refused; in the order of the plan, nothing is."""
    old, new = allow(place.name, "old", "gw", [8092]), allow(place.name, "new", "gw", [8092])
    before, after = [old, deny_all(place.name)], [new, deny_all(place.name)]
    place.set_up(*gateway(place.name), *before)
    state = [*namespace(place.name), *gateway(place.name)]
    place.denied(place.delete("old"), "DELETE", "old")

    follow(place, plan_of(tmp_path, state, before, after, capsys), after)

    assert place.policies() == {"new", "default-deny-ingress"}


def test_an_exchange_is_made_with_a_temporary_policy(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two policies exchange their ports: no order of the two changes is admitted, the plan's steps are."""
    before = [allow(place.name, "one", "mgr", [3000]), allow(place.name, "two", "mgr", [8081])]
    after = [allow(place.name, "one", "mgr", [8081]), allow(place.name, "two", "mgr", [3000])]
    place.set_up(*before, *manager(place.name))  # in this order: the policies alone would be refused
    place.denied(place.apply(after[0]), "UPDATE", "one")
    place.denied(place.apply(after[1]), "UPDATE", "two")
    state = [*namespace(place.name), *manager(place.name)]

    found = plan_of(tmp_path, state, before, after, capsys)
    follow(place, found, after)

    assert [step["temporary"] for step in found["steps"]] == [True, False, False, True]
    assert place.policies() == {"one", "two"}
    assert (place.policy("one") or {})["spec"]["ingress"] == after[0]["spec"]["ingress"]
