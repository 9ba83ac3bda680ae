"""The heartbeat is refused, and nothing that only looks like it is."""

import pytest
from builders import policy

from admission.reviews import answer, asked, default_deny, judged, world
from webhook.admission import Options, decide
from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.admission.options import Mode

HEARTBEAT = policy(HEARTBEAT_NAME, namespace=CANARY_NAMESPACE)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for real"])
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
def test_the_heartbeat_is_refused_in_every_mode(mode: Mode, *, dry_run: bool) -> None:
    """Whatever a refusal becomes elsewhere, this one stays one, in its own words, and is counted apart."""
    request = asked(HEARTBEAT, dry_run=dry_run)
    response = decide(request, world(), Options(mode=mode))
    sent = answer(request, response)["response"]

    assert (response.result, sent["allowed"], sent["status"]["code"]) == ("heartbeat", False, 403)
    assert sent["status"]["message"] == HEARTBEAT_REFUSAL


@pytest.mark.parametrize(
    ("new", "old"),
    [
        pytest.param(policy(HEARTBEAT_NAME, namespace="shop"), None, id="in another namespace"),
        pytest.param(default_deny(namespace=CANARY_NAMESPACE), None, id="of another name"),
        pytest.param(HEARTBEAT, policy(HEARTBEAT_NAME, namespace=CANARY_NAMESPACE, ingress=[{}]), id="an update"),
        pytest.param(None, HEARTBEAT, id="the deletion of one that came to be"),
    ],
)
def test_nothing_else_is_the_heartbeat(new: dict[str, object] | None, old: dict[str, object] | None) -> None:
    """Another place, another name or another operation is judged as ever."""
    assert judged(world(), new, old).allowed
