"""Put the witness's pairs and connections to the product through its public names, and read its answers back."""

import json
from dataclasses import dataclass

from oracle.generate import Pair, Question
from oracle.naive import Judgement, LabelSet, Requirement, Settings, judge
from webhook.admission import (
    AdmissionRequest,
    Options,
    Verdict,
    decide,
    decode_review,
    verdict_json,
)
from webhook.eem import EemSnapshot
from webhook.netpol import ClusterSnapshot, Connection, evaluate

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
    return decode_review(json.dumps(review).encode())


def product_verdict(pair: Pair) -> Verdict:
    """Return the product's verdict on a change."""
    settings = pair.settings
    families = settings.ip_families
    options = Options(
        strict=settings.strict,
        sources=settings.sources,
        ipblock_matches_pods=settings.ipblock_matches_pods,
        pod_cidrs=settings.pod_cidrs,
        ip_families=None if families is None else tuple(int(family[-1]) for family in families),
    )
    response = decide(request_of(pair), EemSnapshot.from_objects(pair.objects), options)
    assert response.verdict is not None
    assert response.allowed is response.verdict.allowed
    return response.verdict


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
            found.setdefault((requirement, outcome), set()).add(labels)
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
    exempt = None if product.exempt == "deployNetworkPolicies" else product.exempt
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
    verdict = evaluate(connection, ClusterSnapshot.from_objects(asked.objects))
    if not verdict.decided:
        return "undecided"
    return "allowed" if verdict.allowed else "denied"
