"""
Write a cluster as kubectl prints it, with everything that the API server and the kubelet add to pods.

`kubectl get -A -o json` of 20,000 pods has some 284 MB: most of it is managed fields, environments and white space.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.cluster import ApiObject, Size, objects

TIME = "2026-11-30T00:00:00Z"
VARIABLES = 10
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def write_json(size: Size, path: Path) -> None:
    """Write a cluster as `kubectl get -o json` prints it: four blanks for each level, and the kind at the end."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{\n    "apiVersion": "v1",\n    "items": [\n')
        for index, api_object in enumerate(_printed(size)):
            text = json.dumps(api_object, indent=4, sort_keys=True)
            indented = "\n".join(f"        {line}" for line in text.split("\n"))
            file.write(f",\n{indented}" if index else indented)
        file.write('\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n')


def write_yaml(size: Size, path: Path) -> None:
    """Write a cluster as `kubectl get -o yaml` prints it."""
    listed = {"apiVersion": "v1", "items": list(_printed(size)), "kind": "List", "metadata": {"resourceVersion": ""}}
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(listed, file, Dumper=yaml.CSafeDumper, sort_keys=True)


def _printed(size: Size) -> Iterator[ApiObject]:
    for number, api_object in enumerate(objects(size)):
        yield _as_stored(api_object, number) if api_object["kind"] == "Pod" else api_object


def _as_stored(pod: ApiObject, number: int) -> ApiObject:
    """Return a pod with what a controller, the API server and the kubelet add."""
    container = {
        "env": [{"name": f"SETTING_{index}", "value": f"value-{index}-of-the-setting"} for index in range(VARIABLES)],
        "image": f"registry.example.com/team/app@sha256:{number:064x}",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access", "readOnly": True}
        ],
    }
    state = {"running": {"startedAt": TIME}}
    return {
        **pod,
        "metadata": {**pod["metadata"], "creationTimestamp": TIME, "managedFields": _managed_fields(number)},
        "spec": {
            **pod["spec"],
            "containers": [{**container, **known} for known in pod["spec"]["containers"]],
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        },
        "status": {
            **pod.get("status", {}),
            "conditions": [
                {"lastProbeTime": None, "lastTransitionTime": TIME, "status": "True", "type": kind}
                for kind in CONDITIONS
            ],
            "containerStatuses": [
                {"containerID": f"containerd://{number:064x}", "name": "main", "ready": True, "state": state}
            ],
            "qosClass": "Burstable",
            "startTime": TIME,
        },
    }


def _managed_fields(number: int) -> list[ApiObject]:
    variables = {f'k:{{"name":"SETTING_{index}"}}': _fields("name", "value") for index in range(VARIABLES)}
    container = {**_fields("image", "imagePullPolicy", "name", "resources"), "f:env": {".": {}, **variables}}
    made = {
        "f:metadata": {"f:labels": _fields("app", "pod-template-hash"), "f:ownerReferences": _fields(f"{number:08}")},
        "f:spec": {
            "f:containers": {'k:{"name":"main"}': container},
            **_fields("dnsPolicy", "restartPolicy", "schedulerName", "terminationGracePeriodSeconds"),
        },
    }
    seen = {
        "f:status": {
            "f:conditions": {
                f'k:{{"type":"{kind}"}}': _fields("lastProbeTime", "lastTransitionTime", "status", "type")
                for kind in CONDITIONS
            },
            **_fields("containerStatuses", "hostIP", "phase", "podIP", "podIPs", "startTime"),
        }
    }
    return [
        {
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
            "manager": manager,
            "operation": "Update",
            "time": TIME,
        }
        for manager, fields in (("kube-controller-manager", made), ("kubelet", seen))
    ]


def _fields(*names: str) -> ApiObject:
    return {".": {}, **{f"f:{name}": {} for name in names}}
