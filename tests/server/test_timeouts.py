"""The API server's timeout is read from the URL."""

import pytest

from webhook.server.app import timeout_of


@pytest.mark.parametrize(
    ("raw_path", "seconds"),
    [
        ("/validate-eem?timeout=5s", 5),
        ("/validate-eem?timeout=1m0s", 30),
        ("/validate-eem?timeout=2.5s", 2.5),
        ("/validate-eem?timeout=1500ms", 1.5),
        ("/validate-eem?other=1&timeout=3s", 3),
        ("/validate-eem?timeout=1ms", 1),
        ("/validate-eem?timeout=999999h", 30),
        ("/validate-eem", 10),
        ("/validate-eem?timeout=", 10),
        ("/validate-eem?timeout=-5s", 10),
        ("/validate-eem?timeout=5", 10),
        ("/validate-eem?timeout=NaNs", 10),
        ("/validate-eem?timeout=" + "9" * 5000 + "s", 10),
    ],
)
def test_the_timeout_is_read_and_bounded(raw_path: str, seconds: float) -> None:
    """A Go duration is accepted, anything else is the API's default, and the result is within 1 to 30 s."""
    assert timeout_of(raw_path) == seconds
