"""`check --apply` merges a file into a live object as the real kubectl and the real API server do: the same object."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.guard import Guard
from harness.machine import Machine

from webhook.files.applying import LAST_APPLIED, ApplyError, ApplyMode, applied

Json = dict[str, Any]
Draw = Callable[[random.Random], Any]

SPACE, EEM_SPACE = "apply-of-kubectl", "apply-of-kubectl-eem"  # random policies and instances do not share a namespace
KINDS = ("NetworkPolicy", "EventGateway", "EventEndpointManagement", "Namespace", "Deployment", "StatefulSet")
PLURALS = "networkpolicies,eventgateways,eventendpointmanagements,deployments,statefulsets"
QUICK, LONG = 60, 450
SECONDS = 600  # kubectl sends 50 requests a second at most, and a busy API server answers later
ON_OFF = (True, False)
FIELDS = ("--output=json", "--show-managed-fields")
BY_KUBECTL, BY_US = "by-kubectl", "by-us"
ABSENT = object()


# Random manifests: a field is there, or not, or null, or empty


def some(random_: random.Random, fields: dict[str, Draw], *, chance: float = 0.5) -> Json:
    """Draw each field with a chance; now and then one is null."""
    found: Json = {}
    for name, draw in fields.items():
        if random_.random() < chance:
            found[name] = None if random_.random() < 0.04 else draw(random_)
    return found


def one_of(*values: Any) -> Draw:
    return lambda random_: json.loads(json.dumps(random_.choice(values)))


def texts(*keys: str) -> Draw:
    return lambda random_: some(random_, dict.fromkeys(keys, one_of("x", "y", "z")))


def items(key: str, values: tuple[Any, ...], fields: dict[str, Draw]) -> Draw:
    """Draw a list of mappings, each with its own value of a key, in any order."""

    def draw(random_: random.Random) -> list[Json]:
        chosen = random_.sample(values, random_.randint(0, len(values)))
        return [{key: value, **some(random_, fields)} for value in chosen]

    return draw


SELECTOR: Draw = lambda random_: some(  # noqa: E731
    random_,
    {
        "matchLabels": texts("a", "b", "c"),
        "matchExpressions": one_of(
            [], [{"key": "a", "operator": "Exists"}], [{"key": "b", "operator": "DoesNotExist"}]
        ),
    },
)
PEERS = one_of(
    [],
    [{"podSelector": {"matchLabels": {"a": "x"}}}],
    [{"namespaceSelector": {}}],
    [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
)
PORTS = one_of(
    [], [{"port": 8092}], [{"protocol": "TCP", "port": 8092}], [{"protocol": "UDP", "port": 53}, {"port": 1}]
)
RULES = {"ingress": "from", "egress": "to"}


def policy(random_: random.Random) -> Json:
    def rules(direction: str) -> Draw:
        return lambda inner: [some(inner, {direction: PEERS, "ports": PORTS}) for _ in range(inner.randint(0, 2))]

    fields: dict[str, Draw] = {name: rules(direction) for name, direction in RULES.items()}
    fields["policyTypes"] = one_of([], ["Ingress"], ["Egress"], ["Ingress", "Egress"])
    return {"podSelector": SELECTOR(random_), **some(random_, fields)}


CONTAINER: dict[str, Draw] = {
    "env": items("name", ("A", "B", "C"), {"value": one_of("1", "2")}),
    "ports": items("containerPort", (80, 81, 82), {"protocol": one_of("TCP", "UDP")}),
    "args": one_of([], ["a"], ["b", "a"]),
    "resources": one_of({}, {"limits": {"cpu": "1"}}, {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}),
    "imagePullPolicy": one_of("Always", "IfNotPresent"),
}
POD: dict[str, Draw] = {
    "initContainers": items("name", ("i", "j"), {}),
    "volumes": lambda random_: [
        {
            "name": name,
            **random_.choice(({"emptyDir": {}}, {"configMap": {"name": "c"}}, {"secret": {"secretName": "s"}})),
        }
        for name in random_.sample(("v", "w"), random_.randint(0, 2))
    ],
    "tolerations": one_of([], [{"key": "a", "operator": "Exists"}], [{"key": "b", "operator": "Exists"}]),
    "nodeSelector": texts("a", "b"),
    "imagePullSecrets": items("name", ("p", "q"), {}),
    "hostAliases": items("ip", ("10.0.0.1", "10.0.0.2"), {"hostnames": one_of(["a"], ["b"])}),
    "serviceAccountName": one_of("one", "two"),
    "securityContext": one_of({}, {"runAsUser": 1}, {"runAsGroup": 2}),
    "terminationGracePeriodSeconds": one_of(1, 2),
}


def template(random_: random.Random) -> Json:
    names = random_.sample(("main", "side", "third"), random_.randint(1, 3))
    containers = [{"name": name, "image": random_.choice(("one", "two")), **some(random_, CONTAINER)} for name in names]
    inner = some(random_, POD)
    for container in inner.get("initContainers") or []:
        container["image"] = "one"
    labels = {"app": "web", **texts("a", "b")(random_)}
    return {"metadata": {"labels": labels}, "spec": {"containers": containers, **inner}}


def workload(random_: random.Random, strategy: dict[str, Draw]) -> Json:
    fixed = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template(random_)}
    return {
        **fixed,
        **some(random_, {**strategy, "minReadySeconds": one_of(0, 1), "revisionHistoryLimit": one_of(1, 2)}),
    }


def deployment(random_: random.Random) -> Json:
    kinds = one_of(
        {"type": "Recreate"},
        {"type": "RollingUpdate"},
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        {"rollingUpdate": {"maxUnavailable": 2}},
        {},
    )
    return workload(
        random_, {"strategy": kinds, "paused": one_of(*ON_OFF[:1]), "progressDeadlineSeconds": one_of(600, 700)}
    )


def stateful_set(random_: random.Random) -> Json:
    kinds = one_of({"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, {})
    return {**workload(random_, {"updateStrategy": kinds}), "serviceName": "web"}


LICENSE = {
    "accept": True,
    "license": "L-DSYM-CFUYYU",
    "metric": "VIRTUAL_PROCESSOR_CORE",
    "use": "EventAutomationProduction",
}
TEMPLATE: Draw = lambda random_: some(random_, {"labels": texts("a", "b"), "annotations": texts("a")})  # noqa: E731
CERTIFICATES = one_of([], [{"secretName": "s", "certificate": "c"}], [{"secretName": "t", "certificate": "c"}])


def gateway(random_: random.Random) -> Json:
    fields: dict[str, Draw] = {
        "template": TEMPLATE,
        "gatewayContact": one_of("a", "b"),
        "tls": lambda inner: some(inner, {"trustedCertificates": CERTIFICATES, "caSecretName": one_of("a", "b")}),
        "security": lambda inner: some(inner, {"connection": one_of({}, {"closeDelayMs": 1}, {"closeJitterMs": 2})}),
        "deployNetworkPolicies": one_of(*ON_OFF),
    }
    fixed = {
        "license": LICENSE,
        "gatewayGroupName": "g",
        "gatewayID": "i",
        "managerEndpoint": "https://eem.example.com/gateway",
    }
    return {**fixed, **some(random_, fields)}


def manager(random_: random.Random) -> Json:
    inner = some(random_, {"template": TEMPLATE, "tls": lambda deep: some(deep, {"trustedCertificates": CERTIFICATES})})
    fixed = {"storage": {"type": "ephemeral"}, "authConfig": {"authType": "LOCAL"}}
    return {
        "license": LICENSE,
        "manager": {**fixed, **inner},
        **some(random_, {"deployNetworkPolicies": one_of(*ON_OFF)}),
    }


SPECS: dict[str, tuple[str, Draw]] = {
    "NetworkPolicy": ("networking.k8s.io/v1", policy),
    "EventGateway": ("events.ibm.com/v1beta1", gateway),
    "EventEndpointManagement": ("events.ibm.com/v1beta1", manager),
    "Namespace": ("v1", lambda _: ABSENT),
    "Deployment": ("apps/v1", deployment),
    "StatefulSet": ("apps/v1", stateful_set),
}


def manifest(random_: random.Random, kind: str, name: str) -> Json:
    version, draw = SPECS[kind]
    meta: Json = {"name": name, **some(random_, {"labels": texts("a", "b", "c"), "annotations": texts("a", "b")})}
    if kind != "Namespace":
        meta["namespace"] = EEM_SPACE if kind.startswith("Event") else SPACE
    spec = draw(random_)
    return {"apiVersion": version, "kind": kind, "metadata": meta, **({} if spec is ABSENT else {"spec": spec})}


def renamed(value: Json, name: str) -> Json:
    found = {**value, "metadata": {**value["metadata"], "name": name}}
    if value["kind"] == "EventGateway":  # the guard wants its id to be unique
        found["spec"] = {**found["spec"], "gatewayID": name}
    return found


def triples(count: int, seed: int) -> Iterator[tuple[Json, Json | None, Json]]:
    """Yield what is live, what was applied last or None, and the file; they often have much in common."""
    random_ = random.Random(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        one, two, three = (manifest(random_, kind, f"{number}") for _ in range(3))
        live, last, new = random_.choice(
            ((one, one, two), (one, two, three), (one, two, two), (one, None, two), (one, two, one))
        )
        yield live, last, new


def with_last(live: Json, last: Json | None) -> Json:
    if last is None:
        return live
    meta = live["metadata"]
    annotations = {**(meta.get("annotations") or {}), LAST_APPLIED: json.dumps(last)}
    return {**live, "metadata": {**meta, "annotations": annotations}}


def plain(value: Any) -> Any:
    """
    Return a manifest without what the API server itself does not take in a server-side apply.

    A null goes to it as it is, where some kinds refuse it. Of a mapping that loses its last key, it makes a null.
    """
    if isinstance(value, dict):
        kept = {key: plain(inner) for key, inner in value.items() if inner is not None}
        return {key: inner for key, inner in kept.items() if key == "podSelector" or inner not in ({}, [])}
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value


def in_one_order(value: Any) -> Any:
    """Return a value with its lists of mappings sorted: no verdict depends on the order of containers."""
    if isinstance(value, dict):
        return {key: in_one_order(inner) for key, inner in value.items()}
    return sorted(map(in_one_order, value), key=json.dumps) if isinstance(value, list) else value


# The comparison


def listed(*objects: Json) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


class Comparison:
    """The same triples, once through kubectl and once through this project."""

    def __init__(self, machine: Machine, folder: Path, count: int, seed: int, mode: ApplyMode = "apply") -> None:
        self._mode = mode
        self._machine = machine
        self._folder = folder
        self._seed = seed
        drawn = list(triples(count, seed))
        self._triples = [plain(one) for one in drawn] if mode == "server-side" else drawn

    def differing(self) -> list[str]:
        """Return the triples whose objects differ afterwards."""
        for space in (SPACE, EEM_SPACE):
            self._kubectl("create", "namespace", space)  # the other test may have made it
        names = {
            number: (f"{BY_KUBECTL}-{self._seed}-{number}", f"{BY_US}-{self._seed}-{number}")
            for number in range(len(self._triples))
        }
        refused = self._send(
            "create" if self._mode == "apply" else "apply --server-side",
            [
                with_last(renamed(live, name), last and renamed(last, name))
                for number, (live, last, _) in enumerate(self._triples)
                for name in names[number]
            ],
        )
        before = self._live()
        there = [number for number in names if all(self._key(number, name) in before for name in names[number])]

        assert len(there) > len(names) * 0.9, refused  # the API server accepts what is drawn

        made = {
            number: self._applied(
                renamed(self._triples[number][2], names[number][1]),
                before[self._key(number, names[number][1])],
            )
            for number in there
        }
        verb = "apply" if self._mode == "apply" else "apply --server-side"
        self._send(verb, [renamed(self._triples[number][2], names[number][0]) for number in there])
        self._send("replace", [self._without_version(found) for found in made.values() if found is not None])
        after = self._live()
        changed = 0
        wrong = []
        for number in there:
            theirs, ours = (after[self._key(number, name)] for name in names[number])
            changed += self._comparable(theirs) != self._comparable(before[self._key(number, names[number][0])])
            if self._comparable(theirs) != self._comparable(ours):
                wrong.append(json.dumps([*self._triples[number], self._comparable(theirs), self._comparable(ours)]))

        assert changed > len(there) * 0.6  # most files change something

        return wrong

    def _applied(self, new: Json, live: Json) -> Any:
        """Return the object after the command; None where kubectl should report a conflict."""
        try:
            return applied(new, live, self._mode)
        except ApplyError:
            return None

    def _kubectl(self, *words: str, seconds: float = SECONDS) -> Any:
        return self._machine.kubectl(*words, seconds=seconds)

    def _send(self, verb: str, objects: list[Json]) -> str:
        """Send all objects, and return what the API server does not accept."""
        path = self._folder / f"{verb.replace(' ', '')}.json"
        path.write_text(listed(*objects))
        return str(self._kubectl(*verb.split(), "--validate=false", "-f", str(path), seconds=SECONDS).stderr)

    def _live(self) -> dict[tuple[str, str], Json]:
        found = [
            self._kubectl("get", PLURALS, "--namespace", space, *FIELDS).json["items"] for space in (SPACE, EEM_SPACE)
        ]
        found.append(self._kubectl("get", "namespaces", *FIELDS).json["items"])
        return {(item["kind"], item["metadata"]["name"]): item for objects in found for item in objects}

    def _key(self, number: int, name: str) -> tuple[str, str]:
        return self._triples[number][0]["kind"], name

    @staticmethod
    def _without_version(found: Any) -> Json:
        meta = {
            key: value for key, value in found["metadata"].items() if key not in {"resourceVersion", "managedFields"}
        }
        return {**found, "metadata": meta}

    def _comparable(self, found: Json) -> Any:
        """Return what a user has set, or the API server has filled in: not the status, nor what controllers note."""
        meta = found["metadata"]
        of_controllers = {LAST_APPLIED, "deployment.kubernetes.io/revision"}
        annotations = {
            key: value for key, value in (meta.get("annotations") or {}).items() if key not in of_controllers
        }
        labels = {
            key: value for key, value in (meta.get("labels") or {}).items() if key != "kubernetes.io/metadata.name"
        }
        spec = {key: value for key, value in (found.get("spec") or {}).items() if key != "gatewayID"}
        value = {"labels": labels, "annotations": annotations, "spec": spec}
        return in_one_order(value) if self._mode == "server-side" else value


def test_sixty_random_files_are_applied_as_kubectl_applies_them(machine: Machine, guard: Guard, tmp_path: Path) -> None:
    """Policies, instances, namespaces and workloads, with and without the annotation of an earlier apply."""
    assert guard

    wrong = Comparison(machine, tmp_path, QUICK, seed=1).differing()
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_hundreds_of_random_files_are_applied_as_server_side_apply_applies_them(
    machine: Machine, guard: Guard, tmp_path: Path
) -> None:
    """What kubectl applied before, and the file no longer has, is removed."""
    assert guard

    wrong = Comparison(machine, tmp_path, LONG // 2, seed=3, mode="server-side").differing()
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_hundreds_of_random_files_are_applied_as_kubectl_applies_them(
    machine: Machine, guard: Guard, tmp_path: Path
) -> None:
    """The long form of the comparison."""
    assert guard

    wrong = Comparison(machine, tmp_path, LONG, seed=2).differing()
    assert not wrong, "\n".join(wrong)
