"""The parts of the page: the library, the policy of its content, and what the drawing gets."""

import base64
import hashlib
import re
import tarfile
from typing import Any

import pytest
from report_page.browsing import broken, example, healthy

from webhook.report_page.drawing import client, drawing_of
from webhook.report_page.page import LIBRARY, content_security_policy, report_page

PUBLISHED = "X4aUTwOReZvthaZWOVHqlJ52/ZdhZFEM4+Lh/uR4XooUSLE6p71bcy7MPGzYnNUcNh+nj+i/qJQpCMIdQnSmrg=="
"""`npm view @dagrejs/dagre@3.1.3 dist.integrity`, without its `sha512-`."""


def test_the_library_is_the_published_package() -> None:
    """Its digest is the one in the registry."""
    assert base64.b64encode(hashlib.sha512(LIBRARY.read_bytes()).digest()).decode() == PUBLISHED


def test_the_page_has_the_licence_of_the_library() -> None:
    """It is a copy of a substantial part of it."""
    with tarfile.open(LIBRARY) as package:
        licence = package.extractfile("package/LICENSE")
        assert licence is not None
        lines = licence.read().decode().splitlines()
    page = healthy()

    assert any("Permission is hereby granted, free of charge" in line for line in lines)
    assert "Permission is hereby granted, free of charge" in page
    assert "sourceMappingURL" not in page


def test_the_policy_of_the_content_names_the_digests_of_the_scripts_and_of_the_style() -> None:
    """Nothing else is allowed, and a file may not connect at all."""
    page = healthy()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    parts = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", page, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts}

    assert policy.replace("&#39;", "'") == content_security_policy(live=False)
    assert set(re.findall(r"sha256-([\w+/=]+)", policy.replace("&#43;", "+"))) == digests
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert "connect-src 'self'" in content_security_policy(live=True)


def test_the_page_names_no_other_host() -> None:
    """What it needs is in it; the names of two formats are no addresses."""
    page = re.sub(r"https?://www\.w3\.org/2000/svg", "", broken())

    assert re.findall(r"(?:src|href|action)=[\"']?(?:https?:)?//", page) == []


def test_the_drawing_has_numbers_for_names() -> None:
    """A line is a source, a policy, an instance, a port and a rule."""
    found = drawing_of(example("gw-ingress")["namespaces"][0])

    assert found["sources"] == ["everyone: every pod, every node, every address", "✕ pod shop/orders-0"]
    assert [one["name"] for one in found["policies"]] == ["default-deny-ingress", "mgr-ingress"]
    assert found["lines"] == [(0, 1, 0, 0, "0"), (0, 1, 0, 1, "0")]
    assert found["cut"] == [(1, [0], 1, 0)]
    assert found["isolates"] == [(0, 0), (0, 1), (1, 0)]
    assert [place[:2] for place in found["policies"][1]["without"]] == [[0, 0], [0, 1]]


def test_a_port_that_no_policy_restricts_has_a_line_without_a_policy() -> None:
    """And a rule that does not accept says so; what a policy keeps of egress is at no port."""
    space = example()["namespaces"][0]
    reach = space["instances"][0]["requirements"][0]["reach"][0]
    reach.update(isolated=False, isolatedBy=[], sources=["everyone"])
    reach["ways"][0]["rules"][0] |= {"action": "Deny", "sources": ["every pod"]}
    space["policies"][0]["without"] = [{**space["policies"][1]["without"][0], "direction": "egress"}]
    found = drawing_of(space)

    assert found["lines"][:2] == [(0, -1, 0, 0, ""), (1, 2, 0, 0, "0")]
    assert found["sources"][:2] == ["everyone", "Deny every pod"]
    assert found["policies"][0]["without"][0][:2] == [-1, -1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "any client"),
        ({"cidr": "192.0.2.0/24"}, "addresses such as 192.0.2.0/24"),
        ({"namespace": "shop", "labels": {}, "pod": "a"}, "pod shop/a"),
        ({"namespace": "shop", "labels": {"a": "b", "c": "d"}}, "a pod with a=b, c=d in shop"),
        ({"namespace": "shop", "labels": {}}, "a pod without labels in shop"),
    ],
)
def test_a_client_in_a_few_words(given: dict[str, Any] | None, words: str) -> None:
    """It is what is cut off."""
    assert client(given) == words


def test_a_live_page_says_since_when_a_port_is_closed_and_which_bypass_may_have_closed_it() -> None:
    """A file does not know."""
    found = example("gw-ingress")
    row = found["namespaces"][0]["instances"][1]["requirements"][0]
    row["bypasses"] = [{"policy": "eem/default-deny-ingress", "reason": "a test"}]
    row["since"] = "2026-11-30T11:00:00.000Z"
    page = report_page(found, at="now", live=True)

    assert "Closed since <time>2026-11-30T11:00:00.000Z</time>" in page
    assert "Bypassed: eem/default-deny-ingress: a test" in page
    assert "data-live" in page


def test_notes_and_exemptions_are_on_the_page() -> None:
    """What the report does not cover is not left out."""
    found = example()
    found["policyKinds"]["unread"] = ["CiliumNetworkPolicy"]
    found["unknownAnnotations"] = [{"namespace": "eem", "annotation": "eem-guardrail.io/mode=on"}]
    found["gatewaysWithoutInstance"] = ["lab/stray"]
    found["namespaces"][0]["mode"] = "audit"
    found["namespaces"][0]["otherPolicies"] = ["unrelated"]
    found["namespaces"][0]["instances"][1] |= {"exempt": "deployNetworkPolicies", "requirements": [], "needs": []}
    found["namespaces"].append({**example()["namespaces"][0], "namespace": "second"})
    page = report_page(found, at="", live=False)

    for text in ("CiliumNetworkPolicy", "eem-guardrail.io/mode=on", "lab/stray", "mode audit", "unrelated"):
        assert text in page
    assert "nothing is required: exempt (deployNetworkPolicies)" in page
    assert '<option value="second">second' in page
