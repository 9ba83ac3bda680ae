"""Put the witness's pairs and connections to the product through its public names, and read its answers back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rpds import HashTrieMap

from oracle.generate import Pair, Question
from oracle.naive import Judgement, LabelSet, Requirement, Settings, judge
from oracle.world import Object, of_kind
from webhook.admission import (
    AdmissionRequest,
    Options,
    Verdict,
    decide,
    decode_review,
    verdict_json,
)
from webhook.cluster.definitions import installation_of, without_schemas
from webhook.eem import EemSnapshot
from webhook.eem.resources import GATEWAYS
from webhook.netpol import ClusterSnapshot, Connection, evaluate
from webhook.netpol.parse_objects import read_object

OF_CONTROLLERS = {
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "pod-template-hash",
}

"""Labels that tell pods apart and are not shown: no policy should select by them."""

Found = dict[tuple[Requirement, str], set[LabelSet | None]]
Names = dict[tuple[Requirement, str], set[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer: why nothing was judged, whether it is allowed, label sets and pods by requirement and outcome."""

    exempt: str | None
    allowed: bool
    found: Found
    names: Names


def request_of(pair: Pair) -> AdmissionRequest:
    """Write the change as the API server asks about it, without a name where it has none to give."""
    change = pair.change
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
        "namespace": change.namespace,
        "operation": change.operation,
        "userInfo": {"username": change.username},
        "object": change.object,
        "oldObject": change.old_object,
    }
    if change.name:
        request["name"] = change.name
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    # As the API server does it: both objects by one encoder
    return decode_review(json.dumps(review, sort_keys=True).encode())


def product_verdict(pair: Pair) -> Verdict:
    """Return the product's verdict on a change."""
    response = decide(request_of(pair), snapshot_of(pair.objects), options_of(pair.settings))
    assert response.verdict is not None
    assert response.allowed is response.verdict.allowed
    return response.verdict


def snapshot_of(objects: Sequence[Object]) -> EemSnapshot:
    """Return the product's snapshot of a cluster, with the operators that its definitions name."""
    noted = {
        one["metadata"]["name"]: installation_of(without_schemas(one), GATEWAYS).operator_namespaces
        for one in of_kind(objects, "CustomResourceDefinition")
    }
    return replace(EemSnapshot.from_objects(objects), operator_namespaces=HashTrieMap(noted))


def options_of(settings: Settings) -> Options:
    """Return the options of the product for the settings of the witness."""
    families = settings.ip_families
    return Options(
        egress="off",  # the witness knows ingress only
        strict=settings.strict,
        sources=settings.sources,
        ipblock_matches_pods=settings.ipblock_matches_pods,
        pod_cidrs=settings.pod_cidrs,
        ip_families=None if families is None else tuple(int(family[-1]) for family in families),
    )


def product_answer(pair: Pair) -> Answer:
    """Return the product's answer: why nothing was judged, whether it allows, and what is lost or undecided."""
    verdict = verdict_json(product_verdict(pair))
    found: Found = {}
    names: Names = {}
    for lost in verdict["lost"]:
        requirement = Requirement(
            kind=lost["instance"]["kind"],
            name=lost["instance"]["name"],
            component=lost["component"],
            protocol=lost["protocol"],
            port=lost["port"],
        )
        outcome = "lost" if lost["decided"] else "undecided"
        labels = None if lost["pods"]["assumed"] else frozenset(lost["pods"]["labels"].items())
        found.setdefault((requirement, outcome), set()).add(labels)
        names.setdefault((requirement, outcome), set()).update(lost["pods"]["names"])
    return Answer(exempt=verdict["exempt"], allowed=verdict["allowed"], found=found, names=names)


def answer_of(judgement: Judgement, settings: Settings) -> Answer:
    """Put the witness's judgement in the same words."""
    found: Found = {}
    for (requirement, labels, _), outcome in judgement.outcomes.items():
        if outcome != "fine":
            shown = None if labels is None else frozenset(item for item in labels if item[0] not in OF_CONTROLLERS)
            found.setdefault((requirement, outcome), set()).add(shown)
    names = {key: judgement.pods[key] for key in found}
    return Answer(exempt=judgement.exempt, allowed=not judgement.denied(settings), found=found, names=names)


def shared(labels: set[LabelSet | None]) -> LabelSet | None:
    """Return what label sets have in common; None if they are assumed."""
    seen = [one for one in labels if one is not None]
    return frozenset.intersection(*seen) if seen else None


def difference(product: Answer, witness: Answer) -> str | None:
    """
    Return how the answers differ; None if they do not.

    The product prints the labels that pods with the same loss have in common, and the names of all these pods.
    """
    exempt = None if product.exempt in {"deployNetworkPolicies", "operator-switch", "terminating"} else product.exempt
    if exempt != witness.exempt:
        return f"exempt: {exempt}, not {witness.exempt}"
    if product.allowed != witness.allowed:
        return f"allowed: {product.allowed}, not {witness.allowed}"
    if product.found.keys() != witness.found.keys():
        return "requirements or whether they are decided"
    if any(labels != {shared(witness.found[key])} for key, labels in product.found.items()):
        return "label sets"
    return None if product.names == witness.names else "pods"


def witness_answer(pair: Pair) -> Answer:
    """Return the witness's answer."""
    return answer_of(judge(pair.objects, pair.change, pair.settings), pair.settings)


def compare(pair: Pair) -> str | None:
    """Return how the product and the witness differ on a pair; None if they do not."""
    return difference(product_answer(pair), witness_answer(pair))


def product_connection(asked: Question) -> str:
    """Ask the product about a connection."""
    connection = Connection(
        source=asked.source, destination=asked.destination, protocol=asked.protocol, port=asked.port
    )
    parsed = (read_object(api_object)[0] for api_object in asked.objects)  # as they are stored, unknown fields and all
    verdict = evaluate(connection, ClusterSnapshot.from_parsed(one for one in parsed if one is not None))
    if not verdict.decided:
        return "undecided"
    return "allowed" if verdict.allowed else "denied"
