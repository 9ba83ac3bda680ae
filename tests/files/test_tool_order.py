"""The order in which each tool makes the changes of a change set."""

from typing import Any

import pytest
from builders import GATEWAY_KIND, ApiObject, instance, namespace, policy, workload

from webhook.files.change_set import PlacedChange
from webhook.files.file_objects import Place
from webhook.files.tool_order import ORDERS, SYNC_OPTIONS, SYNC_WAVE

PLACE = Place(file="a.yaml")


def applied(api_object: ApiObject) -> PlacedChange:
    return PlacedChange(old=None, new=api_object, place=PLACE)


def deleted(api_object: ApiObject) -> PlacedChange:
    return PlacedChange(old=api_object, new=None, place=PLACE)


def names(order: str, *changes: PlacedChange) -> list[str]:
    """Return the names in the order of a tool, a deletion with a minus."""
    return [
        f"{'-' if change.new is None else ''}{(change.new or change.old or {})['metadata']['name']}"
        for change in ORDERS[order](changes)
    ]


CHANGES = (
    applied(instance("gw", kind=GATEWAY_KIND)),
    applied(workload("web", kind="StatefulSet")),
    applied(workload("api")),
    applied(policy("z")),
    applied(policy("a")),
    applied(namespace("eem")),
    deleted(policy("old")),
)


@pytest.mark.parametrize("order", ["given", "kubectl"])
def test_kubectl_applies_in_the_order_of_the_files(order: str) -> None:
    """Nothing is sorted, and pruning comes last."""
    assert names(order, *CHANGES) == ["gw", "web", "api", "z", "a", "eem", "-old"]


def test_helm_sorts_by_kind_and_name_and_deletes_last() -> None:
    """Policies come before workloads, and kinds that Helm does not know come last."""
    assert names("helm", *CHANGES) == ["eem", "a", "z", "api", "web", "gw", "-old"]


def test_flux_applies_namespaces_first_and_prunes_last() -> None:
    """Kinds without a place of their own are sorted by group: events.ibm.com comes before networking.k8s.io."""
    assert names("flux", *CHANGES) == ["eem", "api", "web", "gw", "a", "z", "-old"]


def test_argo_cd_prunes_first_in_a_wave() -> None:
    """So a renamed policy is missing for a moment."""
    assert names("argocd", *CHANGES) == ["-old", "eem", "a", "z", "api", "web", "gw"]


def annotated(name: str, key: str, value: str) -> ApiObject:
    return policy(name, annotations={key: value})


def test_argo_cd_goes_from_wave_to_wave() -> None:
    """Lower waves are applied first and pruned last; a wave that is not a number is none."""
    changes = [applied(annotated(f"wave{wave}", SYNC_WAVE, wave)) for wave in ("2", "-1", "x")]
    changes += [deleted(annotated(f"old{wave}", SYNC_WAVE, wave)) for wave in ("-1", "2")]

    assert names("argocd", *changes) == ["-old2", "wave-1", "wavex", "-old-1", "wave2"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("PruneLast=true", ["new", "-old"]),
        ("Validate=false, PruneLast=true", ["new", "-old"]),
        ("PruneLast=false", ["-old", "new"]),
    ],
)
def test_argo_cd_prunes_last_if_the_object_says_so(options: str, expected: list[Any]) -> None:
    """The option is one of several, separated by commas."""
    assert names("argocd", deleted(annotated("old", SYNC_OPTIONS, options)), applied(policy("new"))) == expected
