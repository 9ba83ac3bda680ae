"""
The conformance tests of network-policy-api as golden cases: their manifests, their connections, and their answers.

Nothing of them is copied: they are read from the Go modules. A test is a list of steps: it looks for a pod or a policy,
moves rules of the policy, and pokes a server. What is done there in another way (labels that change, rules that are
made of addresses) ends the reading of that file; the steps before it count.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from controlplane.build import find_go, go_environment

from webhook.netpol import ClusterSnapshot, Connection, evaluate

MODULE = "sigs.k8s.io/network-policy-api"
VERSIONS = ("v0.1.7", "v0.3.0")  # the last with AdminNetworkPolicy in its conformance tests, and the newest

ROLE = "conformance-role"
POD_NAME = "statefulset.kubernetes.io/pod-name"  # which the controller adds

_STEP = re.compile(
    r"""
      (?P<pod>\w+)\s*:?=\s*kubernetes\.GetPod\(\s*t,\s*s\.Client,\s*"(?P<pod_ns>[^"]+)",\s*"(?P<pod_name>[^"]+)"
    | client\.ObjectKey\{\s*Namespace:\s*"(?P<key_ns>[^"]+)",\s*Name:\s*"(?P<key_name>[^"]+)",?\s*\},
        \s*(?P<key_pod>\w+)\)
    | kubernetes\.GetClusterNetworkPolicy\(\s*t,\s*s\.Client,\s*"(?P<policy>[^"]+)"
    | client\.ObjectKey\{\s*Name:\s*"(?P<key_policy>[^"]+)",?\s*\},\s*\w+\)
    | (?P<saved>\w+)\s*:=\s*mutate(?:\.DeepCopy\(\))?\.Spec\.(?P<saved_in>Ingress|Egress)\[(?P<saved_at>\d+)\]\n
    | mutate\.Spec\.(?P<to_in>Ingress|Egress)\[(?P<to_at>\d+)\]\s*=
        \s*mutate\.Spec\.(?:Ingress|Egress)\[(?P<from_at>\d+)\]
    | mutate\.Spec\.(?P<put_in>Ingress|Egress)\[(?P<put_at>\d+)\]\s*=\s*(?P<put>\w+)\n
    | mutate\.Spec\.(?P<act_in>Ingress|Egress)\[(?P<act_at>\d+)\]\.Action\s*=\s*\w+\.\w+RuleAction(?P<action>\w+)
    | mutate\.Spec\.Priority\s*=\s*(?P<priority>\d+)
    | PokeServer\(\s*t,\s*s\.ClientSet,\s*&s\.KubeConfig,\s*"(?P<ns>[^"]+)",\s*"(?P<name>[^"]+)",\s*"(?P<protocol>\w+)",
        \s*(?P<server>\w+)\.Status\.PodIP,\s*int32\((?P<port>\d+)\),\s*[\w.]+,\s*(?P<wanted>true|false)\)
    | kubernetes\.(?:Set|Remove)PodLabel\(\s*t,\s*s\.Client,\s*"(?P<label_ns>[^"]+)",\s*"(?P<label_pod>[^"]+)",
        \s*conformanceRoleLabel(?:,\s*"(?P<label>\w+)")?
    | (?P<unknown>mutate\.Spec\.\w+\s*=|\w+Rule\.(?:Protocols|Ports)\s*=|kubernetes\.\w*Namespace\(|s\.Client\.Delete)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenFile:
    """One file of tests, with the objects of its manifests."""

    name: str
    text: str
    objects: tuple[dict[str, Any], ...]


@dataclass(kw_only=True, slots=True)
class Reading:
    """
    What reading one file has come to.

    Args:
        objects: the cluster as it is at this step.
        pods: by the names of the test's variables.
        rules: that the test has set aside.
        policy: the name of the one that the test changes.
        compared: connections whose answers were compared.
        undecided: those of them that the product does not decide.
        wrong: those on which the product differs from the test.
    """

    objects: list[dict[str, Any]]
    pods: dict[str, str] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    policy: str = ""
    compared: int = 0
    undecided: int = 0
    wrong: list[str] = field(default_factory=list)

    def take(self, step: re.Match[str]) -> None:
        """Apply one step of the test."""
        found = step.groupdict()
        if found["pod"] or found["key_pod"]:
            namespace = found["pod_ns"] or found["key_ns"]
            self.pods[found["pod"] or found["key_pod"]] = f"{namespace}/{found['pod_name'] or found['key_name']}"
        elif found["policy"] or found["key_policy"]:
            self.policy = found["policy"] or found["key_policy"]
        elif found["saved"]:
            self.rules[found["saved"]] = self._rules(found["saved_in"])[int(found["saved_at"])]
        elif found["to_in"]:
            rules = self._rules(found["to_in"])
            rules[int(found["to_at"])] = rules[int(found["from_at"])]
        elif found["put_in"]:
            self._rules(found["put_in"])[int(found["put_at"])] = self.rules[found["put"]]
        elif found["act_in"]:
            rules = self._rules(found["act_in"])
            rules[int(found["act_at"])] = {**rules[int(found["act_at"])], "action": found["action"]}
        elif found["priority"]:
            self._spec()["priority"] = int(found["priority"])
        elif found["label_pod"]:
            self._label(found["label_ns"], found["label_pod"], found["label"])
        else:
            self._poke(found)

    def _label(self, namespace: str, name: str, value: str | None) -> None:
        for one in self.objects:
            if one["kind"] == "Pod" and (one["metadata"]["namespace"], one["metadata"]["name"]) == (namespace, name):
                others = {key: known for key, known in one["metadata"]["labels"].items() if key != ROLE}
                one["metadata"]["labels"] = others if value is None else {**others, ROLE: value}

    def _spec(self) -> dict[str, Any]:
        kinds = {"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}
        chosen = [one for one in self.objects if one["kind"] in kinds and one["metadata"]["name"] == self.policy]
        spec: dict[str, Any] = chosen[0]["spec"]
        return spec

    def _rules(self, direction: str) -> list[Any]:
        rules: list[Any] = self._spec()[direction.lower()]
        return rules

    def _poke(self, found: dict[str, str]) -> None:
        connection = Connection(
            source=f"{found['ns']}/{found['name']}",
            destination=self.pods[found["server"]],
            protocol=found["protocol"].upper(),
            port=int(found["port"]),
        )
        verdict = evaluate(connection, ClusterSnapshot.from_objects(self.objects), ipblock_matches_pods="yes")
        self.compared += 1
        self.undecided += not verdict.decided
        if verdict.decided and verdict.allowed is not (found["wanted"] == "true"):
            self.wrong.append(f"{connection}: wanted {found['wanted']}")


def read(file: GoldenFile) -> Reading:
    """Read one file up to the first step that is not known."""
    reading = Reading(objects=json.loads(json.dumps(file.objects)))
    for step in _STEP.finditer(re.sub(r"//[^\n]*", "", file.text)):
        if step["unknown"]:
            break
        reading.take(step)
    return reading


def folder_of(version: str) -> Path:
    """Return the folder of a version of the module, which Go downloads and verifies."""
    go = find_go()
    with TemporaryDirectory() as scratch:
        environment = {**go_environment(go, Path(scratch)), "GOFLAGS": "-mod=mod"}
        environment["GOMODCACHE"] = os.environ.get("GOMODCACHE") or str(Path.home() / "go" / "pkg" / "mod")
        answer = subprocess.run(
            [go, "mod", "download", "-json", f"{MODULE}@{version}"],
            cwd=scratch,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    return Path(json.loads(answer.stdout)["Dir"])


def golden_files(version: str) -> Iterator[GoldenFile]:
    """Yield every file of conformance tests that has manifests."""
    folder = folder_of(version) / "conformance"
    addresses = count(1)
    common = [made for one in _objects(folder / "base/manifests.yaml") for made in _pods(one, addresses)]
    for path in sorted((folder / "tests").glob("*.go")):
        text = path.read_text()
        manifests = re.findall(r'"(base/[^"]+\.yaml)"', text)
        if manifests:
            own = [one for name in manifests for one in _objects(folder / name)]
            yield GoldenFile(name=path.stem, text=text, objects=(*common, *own))


def _objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a manifest, with numbers in the place of the ports that the tests fill in."""
    text = re.sub(r"\{\{ index \.HostNetworkPorts (\d) \}\}", r"3636\1", path.read_text())
    return [one for one in yaml.safe_load_all(text) if one]


def _pods(one: dict[str, Any], addresses: Iterator[int]) -> list[dict[str, Any]]:
    """Return an object of the base manifests, a StatefulSet as its pods with addresses."""
    if one["kind"] != "StatefulSet":
        return [one]
    meta, template = one["metadata"], one["spec"]["template"]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{meta['name']}-{number}",
                "namespace": meta["namespace"],
                "labels": {**template["metadata"]["labels"], POD_NAME: f"{meta['name']}-{number}"},
            },
            "spec": template["spec"],
            "status": {"podIPs": [{"ip": f"10.244.0.{next(addresses)}"}]},
        }
        for number in range(one["spec"]["replicas"])
    ]
