"""What is added to a new instance, and what is left as it is."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_builders import Instance, gateway, manager
from rules_strategies import VERSIONS, instances

from webhook.eem.rules import ProductVersion, RuleContext, defaults, judge
from webhook.eem.rules.defaults import DEFAULTS
from webhook.netpol.reading import field_text

POLICIES = {"op": "add", "path": "/spec/deployNetworkPolicies", "value": True}
REPLICAS = {"op": "add", "path": "/spec/replicas", "value": 1}


def applied(document: Instance, patch: list[dict[str, Any]]) -> Instance:
    """Apply the `add` operations of a JSON patch (RFC 6902 section 4.1)."""
    result = copy.deepcopy(document)
    for operation in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        node = result
        for step in parents:
            node = node[step]
        node[last] = operation["value"]
    return result


@pytest.mark.parametrize(
    ("instance", "version", "expected"),
    [
        pytest.param(manager(), "11.8.1", [POLICIES], id="a manager"),
        pytest.param(gateway(), "11.8.1", [POLICIES, REPLICAS], id="a gateway"),
        pytest.param(gateway(), "11.0.5", [POLICIES], id="a gateway before replicas came"),
        pytest.param(gateway(deployNetworkPolicies=False, replicas=3), "11.8.1", [], id="what is set"),
        pytest.param(gateway(deployNetworkPolicies=None, replicas=0), "11.8.1", [], id="what is set to null or 0"),
        pytest.param({**gateway(), "kind": "EventProcessing"}, "11.8.1", [], id="another kind"),
        pytest.param({**gateway(), "apiVersion": "example.com/v1"}, "11.8.1", [], id="another group"),
        pytest.param({**gateway(), "spec": "text"}, "11.8.1", [], id="a spec that is no object"),
        pytest.param(
            {**gateway(), "spec": None},
            "11.8.1",
            [{"op": "add", "path": "/spec", "value": {}}, POLICIES, REPLICAS],
            id="a missing parent is added once",
        ),
    ],
)
def test_the_patch_adds_exactly_what_is_missing(
    instance: Instance, version: str, expected: list[dict[str, Any]]
) -> None:
    """The patch has the documented defaults of the version, and only where a field is missing."""
    assert expected == defaults(instance, RuleContext(version=ProductVersion.parse(version)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_the_patch_is_idempotent_and_changes_no_verdict(data: st.DataObject, version: ProductVersion) -> None:
    """A second patch is empty, no value is overwritten, and no added value violates a rule."""
    instance = data.draw(instances(version))
    context = RuleContext(version=version, offline=True)
    filled = applied(instance, defaults(instance, context))

    assert defaults(filled, context) == []
    assert instance["spec"] == {key: filled["spec"][key] for key in instance["spec"]}
    assert judge(instance, None, context) == judge(filled, None, context)


def test_only_two_fields_have_a_default() -> None:
    """Storage, the licence, deprecated fields and entries of lists are never added."""
    fields = [field_text(default.path) for default in DEFAULTS]

    assert not [field for field in fields if "storage" in field or "license" in field or "[" in field]
    assert fields == ["spec.deployNetworkPolicies", "spec.replicas"]
