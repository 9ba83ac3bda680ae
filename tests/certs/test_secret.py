"""The API object around the entries."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from certificate_builders import NAMES, NOW

from certs import CertificateError, Lifetimes
from certs.material import new_material
from certs.secret import (
    ROTATE_ANNOTATION,
    changed_secret,
    entries_of,
    material_of,
    new_secret,
    requested_rotation,
    with_request,
    without_request,
)

MADE = new_material(NAMES, now=NOW, lifetimes=Lifetimes())
NEWER = new_material(NAMES, now=NOW, lifetimes=Lifetimes())


def secret(**changes: Any) -> dict[str, Any]:
    made = new_secret("guard", "tls", MADE)
    made["metadata"]["resourceVersion"] = "7"
    return {**made, **changes}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_secret_is_read_as_it_was_made() -> None:
    """The object holds the material, and is Opaque."""
    made = secret()

    assert material_of(made).entries() == MADE.entries()
    assert (made["apiVersion"], made["kind"], made["type"]) == ("v1", "Secret", "Opaque")
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("guard", "tls")


def test_what_is_not_ours_is_kept() -> None:
    """Another's entries, labels and annotations, the type and the version stay; our entries that go, go."""
    data = {**secret()["data"], "retired.crt": "AAAA", "theirs": "eA=="}
    before = secret(type="kubernetes.io/tls", data=data)
    before["metadata"]["annotations"] = {"theirs": "too"}
    after = changed_secret(before, NEWER)

    assert after == {
        **before,
        "data": {**secret(data={})["data"], **new_secret("g", "n", NEWER)["data"], "theirs": "eA=="},
    }
    assert "retired.crt" not in after["data"]


@pytest.mark.parametrize("data", [None, "text", ["list"]])
def test_data_of_any_kind_is_replaced(data: object) -> None:
    """Where data is nothing or no mapping, only ours is written."""
    assert changed_secret(secret(data=data), MADE)["data"] == secret()["data"]


def test_a_secret_without_data_has_no_entries() -> None:
    """An emptied Secret is a Secret without entries, and no material."""
    assert entries_of({"metadata": {}}) == {}
    with pytest.raises(CertificateError, match=r"ca\.crt is missing"):
        material_of({"metadata": {}})


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (["list"], "data is not a mapping"),
        ({"tls.crt": 7}, r"tls\.crt is not text"),
        ({"tls.crt": "not base64!"}, r"tls\.crt is not base64"),
        ({"tls.crt": "ü"}, r"tls\.crt is not base64"),
        ({"tls.key": encoded(b"x" * 2000)}, r"tls\.key has more than 1024 bytes"),
        ({"ca.crt": encoded(b"x" * 2**20)}, r"ca\.crt has more than 16384 bytes"),
    ],
)
def test_what_cannot_be_decoded_is_named(data: object, complaint: str) -> None:
    """Each fault names its entry."""
    with pytest.raises(CertificateError, match=complaint):
        entries_of(secret(data=data))


def test_the_entries_of_others_may_be_anything() -> None:
    """Nothing is decoded that is not ours."""
    assert entries_of(secret(data={"theirs": 7})) == {}


def test_a_request_is_written_read_and_taken_out() -> None:
    """A request keeps other annotations, and is gone once it is honoured."""
    asked = with_request(secret(), NOW)

    assert requested_rotation(asked) == NOW
    assert asked["metadata"]["resourceVersion"] == "7"
    assert requested_rotation(without_request(asked)) is None
    assert without_request(asked)["metadata"]["annotations"] == {}
    assert requested_rotation(secret()) is None


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2027-03-01T12:00:00Z", datetime(2027, 3, 1, 12, tzinfo=UTC)),
        ("2027-03-01T14:00:00+02:00", datetime(2027, 3, 1, 12, tzinfo=UTC)),
        ("2027-03-01T12:00:00", None),
        ("yes", None),
        ("", None),
        (7, None),
    ],
)
def test_a_request_is_a_moment_in_rfc_3339(value: object, moment: datetime | None) -> None:
    """Anything else than a moment with its zone asks for nothing."""
    annotated = secret()
    annotated["metadata"]["annotations"] = {ROTATE_ANNOTATION: value}

    assert requested_rotation(annotated) == moment


def test_annotations_that_are_none_ask_for_nothing() -> None:
    """An object of another shape is no reason to stop."""
    assert requested_rotation({"metadata": {"annotations": None}}) is None
    assert with_request({}, NOW + timedelta(days=1))["metadata"]["annotations"]
