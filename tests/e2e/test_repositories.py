"""
The pull requests of docs/pull-request-*.md on a real API server, with the guard in mode enforce.

The change that `check` refuses is refused there, and admitted with what `--fix` prints; so are the steps of the plan.
"""

import json
from pathlib import Path

import pytest
import yaml
from harness.objects import Json, gateway, manager, namespace
from harness.place import Place

from webhook.cli import main

REPOSITORIES = Path(__file__).resolve().parents[2] / "docs/examples/repositories"
KUSTOMIZE = REPOSITORIES / "kustomize"
NAMESPACE = "eem"


def objects(path: Path, place: Place) -> list[Json]:
    """Return the objects of a file in the namespace of a case."""
    found: list[Json] = [one for one in yaml.safe_load_all(path.read_text()) if one]
    for one in found:
        assert one["metadata"]["namespace"] == NAMESPACE
        one["metadata"]["namespace"] = place.name
    return found


def sides(folder: Path, state: list[Json], before: list[Json], after: list[Json]) -> list[str]:
    """Write two states and the rest of the cluster to files, and return the words that name them."""
    for name, some in (("state", state), ("before", before), ("after", after)):
        (folder / f"{name}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": some}))
    return [word for name in ("state", "before", "after") for word in (f"--{name}", str(folder / f"{name}.json"))]


ARGO_CD = ("argocd/before/policies.yaml", "argocd/after/policies.yaml", "gateway")
OVERLAYS = ("kustomize/rendered/before.yaml", "kustomize/fixed.yaml", "default-deny-ingress")
CHART = ("helm/rendered/before.yaml", "helm/rendered/fixed.yaml", "gateway-clients")
CASES = pytest.mark.parametrize("case", [ARGO_CD, OVERLAYS, CHART], ids=["argocd", "kustomize", "helm"])


@CASES
def test_the_pull_request_is_refused_and_its_plan_is_admitted(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[str, str, str]
) -> None:
    """The first change that the page shows as refused is refused; every step of the plan is made."""
    before, after, refused = case
    old, new = objects(REPOSITORIES / before, place), objects(REPOSITORIES / after, place)
    state = set_up(place, old)
    change = wrong_change(REPOSITORIES / before.partition("/")[0], refused, place)
    operation = make(change, refused, place, is_admitted=False)
    assert (operation == "DELETE") is (change is None)

    assert main(["plan", *sides(tmp_path, state, old, new), "-o", "json"]) == 0
    by_name = {one["metadata"]["name"]: one for one in new}
    for step in json.loads(capsys.readouterr().out)["steps"]:
        name = step["resource"]["name"]
        assert step["operation"] == make(by_name.get(name), name, place)

    assert place.policies() == set(by_name)


@CASES
def test_the_pull_request_is_admitted_with_its_fix(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[str, str, str]
) -> None:
    """What `--fix` prints is applied first, or in the place of the change."""
    before, _, refused = case
    old = objects(REPOSITORIES / before, place)
    state = set_up(place, old)
    change = wrong_change(REPOSITORIES / before.partition("/")[0], refused, place)
    others = [one for one in old if one["metadata"]["name"] != refused]
    words = sides(tmp_path, state, old, others if change is None else [*others, change])

    assert main(["check", *words, "--fix"]) == 1
    fix = [one for one in yaml.safe_load_all(capsys.readouterr().out) if one]
    for one in fix:
        make(one, one["metadata"]["name"], place)
    if refused not in {one["metadata"]["name"] for one in fix}:
        make(change, refused, place)

    names = {one["metadata"]["name"] for one in (*others, *fix)} | ({refused} if change else set())
    assert place.policies() == names


def set_up(place: Place, old: list[Json]) -> list[Json]:
    """Make the cluster before the pull request, and return its objects besides the repository's."""
    place.set_up(*old, *gateway(place.name), *manager(place.name))  # in this order: nothing is refused on the way
    return [*namespace(place.name), *gateway(place.name), *manager(place.name)]


def wrong_change(folder: Path, refused: str, place: Place) -> Json | None:
    """Return the object of the pull request that breaks; None if it deletes the object."""
    rendered = folder / "rendered/after.yaml"
    found = objects(rendered, place) if rendered.exists() else []
    return next((one for one in found if one["metadata"]["name"] == refused), None)


def make(new: Json | None, name: str, place: Place, *, is_admitted: bool = True) -> str:
    """Apply an object, or delete the one of this name, and return the operation; it is admitted or denied."""
    operation = "DELETE" if new is None else "UPDATE" if place.policy(name) else "CREATE"
    answer = place.delete(name) if new is None else place.apply(new)
    (place.passed if is_admitted else place.denied)(answer, operation, name)
    return operation


@pytest.mark.parametrize(("overlay", "rendered"), [("base", "before"), ("production", "after")])
def test_the_rendered_files_are_what_kustomize_prints(place: Place, overlay: str, rendered: str) -> None:
    """The page shows results at lines of these files."""
    printed = place.machine.must("kustomize", str(KUSTOMIZE / overlay)).stdout

    assert (KUSTOMIZE / "rendered" / f"{rendered}.yaml").read_text() == printed
