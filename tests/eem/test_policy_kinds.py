"""Policy kinds that are recognised and not read: the objects in files that can select a pod of EEM are named."""

from typing import Any

import pytest
from builders import GATEWAY_KIND, ApiObject, eem_labels, instance, namespace, pod

from webhook.eem import EemSnapshot, PolicyKind
from webhook.eem.policy_kinds import POLICY_KINDS, kind_named, read_foreign, without_copies

OTHERS = {"app.kubernetes.io/instance": "other"}


def foreign(api_version: str, kind: str, where: str | None = "eem", **body: Any) -> ApiObject:
    """Return a policy of another product."""
    meta = {"name": "p"} | ({} if where is None else {"namespace": where})
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}


def cilium(selector: Any, where: str = "eem") -> ApiObject:
    return foreign("cilium.io/v2", "CiliumNetworkPolicy", where, spec={"endpointSelector": selector})


def clusterwide(selector: Any) -> ApiObject:
    return foreign("cilium.io/v2", "CiliumClusterwideNetworkPolicy", None, spec={"endpointSelector": selector})


def authorization(where: str = "eem", **spec: Any) -> ApiObject:
    return foreign("security.istio.io/v1", "AuthorizationPolicy", where, spec=spec)


def unread(api_object: ApiObject, *namespaces: str) -> list[str]:
    """Return the kinds that are named beside a namespace with a gateway."""
    found = read_foreign(api_object)
    snapshot = EemSnapshot.from_objects(
        [
            namespace("eem", labels={"team": "events"}),
            namespace("shop"),
            instance("gw", kind=GATEWAY_KIND),
            pod("gw-ibm-egw-gateway-0", labels=eem_labels("gw")),
        ]
    )
    snapshot = EemSnapshot(cluster=snapshot.cluster, eem=snapshot.eem, foreign=() if found is None else (found,))
    return [known.name for known in snapshot.policy_kinds(*namespaces).unread]


@pytest.mark.parametrize(
    "api_object",
    [
        pytest.param(foreign("projectcalico.org/v3", "NetworkPolicy"), id="Calico's NetworkPolicy in the namespace"),
        pytest.param(foreign("projectcalico.org/v3", "GlobalNetworkPolicy", None), id="a global policy"),
        pytest.param(foreign("crd.antrea.io/v1beta1", "NetworkPolicy"), id="Antrea's NetworkPolicy"),
        pytest.param(foreign("k8s.ovn.org/v1", "EgressFirewall"), id="an egress firewall"),
        pytest.param(foreign("security.istio.io/v1beta1", "PeerAuthentication"), id="an older version"),
        pytest.param(foreign("security.istio.io/v1", "PeerAuthentication", "istio-system"), id="the whole mesh"),
        pytest.param(authorization(), id="no selector"),
        pytest.param(authorization(selector={"matchLabels": eem_labels("gw")}), id="the gateway's labels"),
        pytest.param(authorization(targetRefs=[{"kind": "Service", "name": "gw"}]), id="a target that is no selector"),
        pytest.param(authorization(selector={"matchLabels": "what"}), id="a selector that cannot be read"),
        pytest.param(cilium({}), id="an empty endpointSelector"),
        pytest.param(cilium({"matchLabels": {"k8s:app.kubernetes.io/instance": "gw"}}), id="a label with its source"),
        pytest.param(
            cilium({"matchExpressions": [{"key": "any:app.kubernetes.io/instance", "operator": "Exists"}]}),
            id="an expression with the source of its label",
        ),
        pytest.param(
            cilium({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "gw"}}), id="a label that no pod shows"
        ),
        pytest.param(cilium({"matchLabels": {"reserved:init": ""}}), id="a reserved label"),
        pytest.param(cilium("what"), id="an endpointSelector that cannot be read"),
        pytest.param(clusterwide({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "eem"}}), id="by the namespace"),
        pytest.param(
            clusterwide({"matchLabels": {"io.cilium.k8s.namespace.labels.team": "events"}}),
            id="by the labels of the namespace",
        ),
        pytest.param(
            foreign("cilium.io/v2", "CiliumNetworkPolicy", specs=[{"nodeSelector": {}}, {"endpointSelector": {}}]),
            id="one of several specs",
        ),
    ],
)
def test_a_policy_that_may_select_a_pod_of_eem_is_named(api_object: ApiObject) -> None:
    """Whatever cannot be told from a policy that selects a pod of EEM counts."""
    known = kind_named(api_object["kind"], api_object["apiVersion"])

    assert known is not None
    assert [known.name] == unread(api_object) == unread(api_object, "eem")


@pytest.mark.parametrize(
    "api_object",
    [
        pytest.param(foreign("projectcalico.org/v3", "NetworkPolicy", "shop"), id="another namespace"),
        pytest.param(foreign("projectcalico.org/v3", "NetworkPolicy", ""), id="the namespace default"),
        pytest.param(foreign("projectcalico.org/v3", "Tier", None), id="a tier selects nothing"),
        pytest.param(foreign("projectcalico.org/v3", "NetworkSet"), id="a set of addresses selects nothing"),
        pytest.param(foreign("example.com/v1", "NetworkPolicy"), id="an unknown group"),
        pytest.param({"kind": ["odd"], "apiVersion": 3}, id="no API object"),
        pytest.param(authorization(selector={"matchLabels": OTHERS}), id="other labels"),
        pytest.param(cilium({"matchLabels": OTHERS}), id="other labels of endpoints"),
        pytest.param(foreign("cilium.io/v2", "CiliumNetworkPolicy", spec={"nodeSelector": {}}), id="nodes"),
        pytest.param(clusterwide({"matchLabels": {"io.kubernetes.pod.namespace": "shop"}}), id="elsewhere"),
    ],
)
def test_a_policy_that_selects_no_pod_of_eem_is_not_named(api_object: ApiObject) -> None:
    """It cannot override a verdict."""
    assert not unread(api_object)


def test_a_namespace_without_eem_has_nothing_to_be_overridden() -> None:
    """A policy of another product there does not matter."""
    assert not unread(foreign("projectcalico.org/v3", "GlobalNetworkPolicy", None), "shop")


def calico(group: str, kind: str) -> PolicyKind:
    known = kind_named(kind, f"{group}/v1")
    assert known is not None
    return known


def test_a_kind_that_is_stored_in_another_group_is_named_once() -> None:
    """Calico's API server stores the kinds of projectcalico.org in crd.projectcalico.org."""
    api, stored = calico("projectcalico.org", "Tier"), calico("crd.projectcalico.org", "Tier")
    only_stored = calico("crd.projectcalico.org", "NetworkPolicy")

    assert (api, only_stored) == without_copies({only_stored, stored, api})


def test_the_names_of_the_kinds_are_distinct() -> None:
    """Three products have a kind NetworkPolicy, so the group is part of the name."""
    assert len({known.name for known in POLICY_KINDS}) == len(POLICY_KINDS)


def test_a_served_kind_is_named_without_its_objects() -> None:
    """In a live cluster the kind alone counts, and an object of it changes nothing."""
    found = read_foreign(authorization())
    assert found is not None
    snapshot = EemSnapshot(unread_kinds=(found.kind,), foreign=(found,))

    assert [found.kind] == list(snapshot.policy_kinds().unread)


def test_the_note_names_each_product_once() -> None:
    """It fits into a warning even if every product is there."""
    kinds = EemSnapshot(unread_kinds=POLICY_KINDS).policy_kinds()

    assert kinds.note.startswith("cluster-wide, Calico, Cilium, Antrea, Istio and OVN-Kubernetes policies are not read")
    assert len(kinds.note) <= 120


@pytest.mark.parametrize(
    ("kinds", "note"),
    [
        pytest.param((), "", id="none"),
        pytest.param(
            (calico("cilium.io", "CiliumNetworkPolicy"),),
            "Cilium policies are not read and may override this verdict",
            id="one",
        ),
    ],
)
def test_the_note_for_few_products(kinds: tuple[PolicyKind, ...], note: str) -> None:
    """There is no note where there is nothing to tell."""
    assert note == EemSnapshot(unread_kinds=kinds).policy_kinds().note
