"""The answers that a review can get."""

import pytest

from admission.reviews import default_deny, gateway, judged, verdict_of, world
from webhook.admission.response import with_note


@pytest.mark.parametrize("note", ["(one note)", "n" * 1000], ids=["short", "long"])
def test_a_note_is_added_within_the_length_of_a_message(note: str) -> None:
    """The middle of the message gives way, never the note."""
    response = judged(world(*(gateway(f"g{number}") for number in range(30))), default_deny())
    noted = with_note(response, note)

    assert noted.message.endswith(f" {note}")
    assert len(noted.message) <= 1024
    assert verdict_of(noted).message == noted.message
    assert (noted.causes, noted.code, noted.allowed) == (response.causes, response.code, response.allowed)
