"""The labels of pods to come: what controllers add to a template, with the values that are known."""

from typing import Any

import builders as b
import pytest

from webhook.netpol.controller_labels import MOST_ORDINALS, pods_of
from webhook.netpol.model import Workload
from webhook.netpol.parse_objects import read_object
from webhook.netpol.selectors import FITTING, UNKNOWN, readings

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


def read(kind: str, *, annotations: b.Node | None = None, labels: b.Node | None = None, **spec: Any) -> Workload:
    made = b.workload("web", kind=kind, labels=labels or {"a": "b"})
    of_job = made["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else made["spec"]
    of_job |= spec
    made["metadata"]["annotations"] = annotations
    found, faults = read_object(made)

    assert isinstance(found, Workload)
    assert faults == ()

    return found


def added(kind: str, **fields: Any) -> dict[str, str]:
    """Return the labels that the pods have in addition to those of the template."""
    labels = read(kind, **fields).template.labels
    return {key: value for key, value in labels.items() if key != "a"}


def test_a_replica_set_adds_nothing() -> None:
    """Its template has the hash already, where a Deployment made it."""
    assert added("ReplicaSet") == {}


def test_a_deployment_adds_a_hash() -> None:
    """Also where the template has such a label: the controller's value replaces it."""
    assert added("Deployment", labels={"a": "b", "pod-template-hash": "mine"}) == {"pod-template-hash": UNKNOWN}


def test_a_daemon_set_adds_its_revision() -> None:
    """The generation is in an annotation that the API server keeps."""
    generation = {"deprecated.daemonset.template.generation": "3"}

    assert added("DaemonSet") == {"controller-revision-hash": UNKNOWN, "pod-template-generation": UNKNOWN}
    assert added("DaemonSet", annotations=generation)["pod-template-generation"] == "3"


def test_the_pods_of_a_job_have_its_name_and_uid() -> None:
    """With and without the prefix; a Job with a selector of its own adds none."""
    expected = {"job-name": "web", "controller-uid": "uid-of-web"}

    assert added("Job") == expected | {f"batch.kubernetes.io/{key}": value for key, value in expected.items()}
    assert added("Job", manualSelector=True) == {}
    assert added("Job", manualSelector=True, completionMode="Indexed") == {
        "batch.kubernetes.io/job-completion-index": UNKNOWN
    }


def test_the_jobs_of_a_cron_job_have_names_to_come() -> None:
    """The controller makes a name of the time."""
    assert set(added("CronJob").values()) == {UNKNOWN}
    assert set(added("CronJob")) == {
        f"{prefix}{key}" for prefix in ("", "batch.kubernetes.io/") for key in ("job-name", "controller-uid")
    }


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        pytest.param({}, ["web-0"], id="one without replicas"),
        pytest.param({"replicas": 3}, ["web-0", "web-1", "web-2"], id="three"),
        pytest.param({"replicas": 2, "ordinals": {"start": 5}}, ["web-5", "web-6"], id="from five on"),
        pytest.param({"replicas": 0}, ["web-0"], id="none: the first one stands for the pods to come"),
        pytest.param({"replicas": "2", "ordinals": {"start": "x"}}, ["web-0"], id="what cannot be read"),
    ],
)
def test_the_pods_of_a_stateful_set_are_numbered(spec: b.Node, names: list[str]) -> None:
    """Each pod has its name and its number as labels, whatever the template says."""
    workload = read("StatefulSet", labels={"a": "b", POD_INDEX: "9"}, **spec)

    pods = pods_of(workload)

    assert [pod.labels[POD_NAME] for pod in pods] == names
    assert [f"web-{pod.labels[POD_INDEX]}" for pod in pods] == names
    assert {pod.labels["controller-revision-hash"] for pod in pods} == {UNKNOWN}
    assert {pod.labels["a"] for pod in pods} == {"b"}


def test_one_pod_stands_for_the_many_of_a_large_stateful_set() -> None:
    """A user who writes a StatefulSet does not decide how long a verdict takes."""
    pods = pods_of(read("StatefulSet", replicas=10**9))

    assert len(pods) == MOST_ORDINALS + 1
    assert pods[-1].labels[POD_NAME] == pods[-1].labels[POD_INDEX] == UNKNOWN


def test_any_other_workload_has_one_pod() -> None:
    """All its pods have the same labels."""
    assert len(pods_of(read("Deployment", replicas=3))) == 1


def test_labels_with_unknown_values_have_two_readings() -> None:
    """All others have one, and it costs no copy."""
    known = {"a": "b"}

    assert readings(known)[0] is known
    assert len(readings(known)) == 1
    assert readings({"a": "b", "hash": UNKNOWN}) == ({"a": "b", "hash": UNKNOWN}, {"a": "b", "hash": FITTING})
