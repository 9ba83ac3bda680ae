"""The answers that a review can get, and their texts."""

import pytest

from admission.reviews import default_deny, gateway, judged, verdict_of, world
from webhook.admission import Options
from webhook.admission.response import with_age, with_note


@pytest.mark.parametrize("note", ["(one note)", "n" * 1000], ids=["short", "long"])
def test_a_note_is_added_within_the_length_of_a_message(note: str) -> None:
    """The middle of the message is cut, never the note."""
    response = judged(world(*(gateway(f"g{number}") for number in range(30))), default_deny())
    noted = with_note(response, note)

    assert noted.message.endswith(f" {note}")
    assert len(noted.message) <= 1024
    assert verdict_of(noted).message == noted.message
    assert (noted.causes, noted.code, noted.allowed) == (response.causes, response.code, response.allowed)


def test_the_age_of_an_old_view_is_a_warning_and_an_annotation() -> None:
    """The verdict keeps its other warnings and annotations."""
    response = judged(world(gateway()), default_deny())
    told = with_age(response, "networkpolicies", 600.2)
    note = "judged on data that is 600 s old: the API server has sent nothing about networkpolicies since"

    assert told.warnings == (*response.warnings, note)
    assert told.audit_annotations == {**response.audit_annotations, "stale-view": note}
    assert (told.allowed, told.message, told.verdict) == (False, response.message, response.verdict)


def test_audit_mode_only_annotates_the_age_of_an_old_view() -> None:
    """The user gets no warning."""
    told = with_age(judged(world(gateway()), default_deny(), options=Options(mode="audit")), "pods", 600)

    assert told.warnings == ()
    assert "stale-view" in told.audit_annotations
