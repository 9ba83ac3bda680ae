"""Which content of the Secret is accepted, and the API object around it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from certificate_builders import NAMES, NOW, authority, pair, with_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import CertificateError, KeyPair
from certs.bundle import bundle_to_pem
from certs.material import (
    ENTRIES,
    MAX_CERTIFICATES_BYTES,
    MAX_KEY_BYTES,
    ROTATE_ANNOTATION,
    Material,
    changed_secret,
    entries_of,
    material_of,
    new_material,
    new_secret,
    read_material,
    requested_rotation,
    without_request,
)
from certs.renewal import Lifetimes

LIFETIMES = Lifetimes()
OLD, NEW, OTHER = authority(now=NOW - timedelta(days=200)), authority(), authority()
LEAF, OLD_LEAF = pair(NEW), pair(OLD)
ROTATED = Material(
    bundle=(NEW.certificate, OLD.certificate),
    signer=OLD,
    successor=NEW,
    leaf=OLD_LEAF,
    retired=(OLD_LEAF.certificate,),
)
GOOD = ROTATED.entries()
MADE = new_material(NAMES, now=NOW, lifetimes=LIFETIMES)
NEWER = new_material(NAMES, now=NOW, lifetimes=LIFETIMES)


def pem_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def bare_certificate(key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bare")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashes.SHA256())


def as_signer(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    return {"ca.crt": bundle_to_pem([certificate, OLD.certificate]), "ca.key": pem_key(key), "ca-next.key": b""}


def test_entries_are_parsed_as_they_were_written() -> None:
    """All six entries are parsed to the same material, newest authority first."""
    again = read_material(dict(reversed(GOOD.items())))

    assert set(GOOD) == set(ENTRIES)
    assert again.entries() == GOOD
    assert again.bundle == (NEW.certificate, OLD.certificate)
    assert again.leaf_authority == OLD.certificate


def test_new_material_is_one_authority_and_its_leaf() -> None:
    """New material has neither a successor nor a recorded certificate."""
    made = new_material(NAMES, now=NOW, lifetimes=LIFETIMES)

    assert set(made.entries()) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert read_material(made.entries()).leaf_authority == made.bundle[0]


def test_the_key_of_the_authority_may_be_missing() -> None:
    """A pair and its bundle can be served without it: a Secret that the user creates has no ca.key."""
    found = read_material({key: GOOD[key] for key in ("ca.crt", "tls.crt", "tls.key")})

    assert found.signer is None
    assert found.successor is None
    assert set(found.entries()) == {"ca.crt", "tls.crt", "tls.key"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"tls.crt": b""}, "tls.crt is missing or empty", id="no certificate"),
        pytest.param({"ca.crt": None}, "ca.crt is missing or empty", id="no bundle"),
        pytest.param({"tls.key": None}, "tls.key is missing or empty", id="no key"),
        pytest.param({"tls.crt": GOOD["tls.crt"][:300]}, "tls.crt cannot be read|pair cannot be read", id="truncated"),
        pytest.param({"ca.crt": GOOD["ca.crt"][:-30]}, "ca.crt cannot be read", id="bundle truncated"),
        pytest.param({"retired.crt": b"junk"}, "retired.crt cannot be read", id="an invalid recorded certificate"),
        pytest.param({"tls.key": pem_key(LEAF.key)}, "does not belong", id="torn: key of another pair"),
        pytest.param({"tls.crt": LEAF.certificate_pem()}, "does not belong", id="torn: certificate of another pair"),
        pytest.param({"ca.key": OTHER.key_pem()}, "ca.key belongs to no certificate", id="key of another authority"),
        pytest.param({"ca-next.key": OLD.key_pem()}, "same as ca.key", id="the successor is the signer"),
        pytest.param({"ca.key": b"junk"}, "ca.key cannot be read", id="an invalid key"),
        pytest.param({"ca.key": pem_key(OLD.key, b"x")}, "ca.key cannot be read", id="encrypted authority key"),
        pytest.param({"tls.key": pem_key(OLD_LEAF.key, b"x")}, "cannot be read", id="encrypted serving key"),
        pytest.param(
            {"ca.crt": OTHER.certificate_pem(), "ca.key": b"", "ca-next.key": b""},
            "not signed",
            id="other bundle",
        ),
        pytest.param({"ca.crt": b"-" * (MAX_CERTIFICATES_BYTES + 1)}, "ca.crt has more than", id="bundle too large"),
        pytest.param({"ca.key": b"-" * (MAX_KEY_BYTES + 1)}, "ca.key has more than", id="key too large"),
        pytest.param(
            {"ca.key": pem_key(rsa.generate_private_key(65537, 1024))},  # noqa: S505  a larger key is too large to be parsed
            "ca.key is not an ECDSA key",
            id="an RSA key",
        ),
        pytest.param(
            as_signer(bare_certificate(NEW.key), NEW.key), "is not a CA certificate", id="a plain certificate"
        ),
        pytest.param(
            as_signer(bare_certificate(NEW.key, x509.BasicConstraints(ca=True, path_length=None)), NEW.key),
            "is not a CA certificate",
            id="an authority without key identifier",
        ),
        pytest.param(
            as_signer(
                bare_certificate(
                    NEW.key,
                    x509.BasicConstraints(ca=False, path_length=None),
                    x509.SubjectKeyIdentifier.from_public_key(NEW.key.public_key()),
                ),
                NEW.key,
            ),
            "is not a CA certificate",
            id="a certificate that is not an authority",
        ),
    ],
)
def test_entries_that_do_not_belong_together_are_rejected(changes: dict[str, bytes | None], message: str) -> None:
    """The error names the wrong entry and contains no part of a key."""
    entries = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}

    with pytest.raises(CertificateError, match=message) as raised:
        read_material(entries)
    assert "PRIVATE" not in str(raised.value)


@given(
    entry=st.sampled_from(ENTRIES),
    change=st.one_of(
        st.tuples(st.just("cut"), st.integers(min_value=0, max_value=1500), st.just(b"")),
        st.tuples(st.just("put"), st.integers(min_value=0, max_value=1500), st.binary(min_size=1, max_size=8)),
    ),
)
def test_a_damaged_entry_is_rejected_or_parsed_completely(entry: str, change: tuple[str, int, bytes]) -> None:
    """An entry that is truncated or overwritten at any place is never parsed in part."""
    kind, at, content = change
    whole = GOOD[entry]
    damaged = whole[:at] if kind == "cut" else whole[:at] + content + whole[at + len(content) :]
    try:
        read = read_material({**GOOD, entry: damaged})
    except CertificateError:
        return

    assert read.leaf_authority is not None
    assert read.leaf.certificate.public_key() == read.leaf.key.public_key()


def strange_pair() -> KeyPair:
    key = ec.generate_private_key(ec.SECP521R1())
    return KeyPair(certificate=bare_certificate(key), key=key)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"-----BEGIN CERTIFICATE-----\n" * 40_000, id="a megabyte of BEGIN lines"),
        pytest.param(b"-" * 2**20, id="a megabyte of dashes"),
    ],
)
def test_a_huge_entry_is_rejected_by_its_size(entry: str, junk: bytes) -> None:
    """The entry is not parsed, so it costs no time."""
    with pytest.raises(CertificateError, match=f"{entry} has more than"):
        read_material({**GOOD, entry: junk})


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param((b"-----BEGIN CERTIFICATE-----\n" * 2000)[:MAX_CERTIFICATES_BYTES], id="BEGIN lines"),
        pytest.param(b"-" * MAX_CERTIFICATES_BYTES, id="dashes"),
        pytest.param(strange_pair().certificate_pem() * 10, id="certificates on a different curve"),
    ],
)
def test_an_invalid_bundle_of_the_largest_size_is_rejected(junk: bytes) -> None:
    """A bundle up to the size limit is parsed, and rejected."""
    with pytest.raises(CertificateError):
        read_material({**GOOD, "ca.crt": junk})


def secret(**changes: Any) -> dict[str, Any]:
    made = new_secret("guard", "tls", MADE)
    made["metadata"]["resourceVersion"] = "7"
    return {**made, **changes}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_new_secret_holds_the_material() -> None:
    """The object has the type Opaque, and its content is parsed to the same material."""
    made = secret()

    assert material_of(made).entries() == MADE.entries()
    assert (made["apiVersion"], made["kind"], made["type"]) == ("v1", "Secret", "Opaque")
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("guard", "tls")


def test_a_change_keeps_the_entries_and_metadata_of_others() -> None:
    """Other entries, labels, annotations, the type and the version are kept. Our empty entries are removed."""
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
def test_a_change_replaces_data_that_is_not_a_mapping(data: object) -> None:
    """The new data holds our entries only."""
    assert changed_secret(secret(data=data), MADE)["data"] == secret()["data"]


def test_a_secret_without_data_has_no_entries() -> None:
    """The first required entry is reported as missing."""
    assert entries_of({"metadata": {}}) == {}
    with pytest.raises(CertificateError, match=r"ca\.crt is missing"):
        material_of({"metadata": {}})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["list"], "data is not a mapping"),
        ({"tls.crt": 7}, r"tls\.crt is not a string"),
        ({"tls.crt": "not base64!"}, r"tls\.crt is not base64"),
        ({"tls.crt": "ü"}, r"tls\.crt is not base64"),
        ({"tls.key": encoded(b"x" * 2000)}, r"tls\.key has more than 1024 bytes"),
        ({"ca.crt": encoded(b"x" * 2**20)}, r"ca\.crt has more than 16384 bytes"),
    ],
)
def test_an_entry_that_cannot_be_decoded_is_rejected(data: object, message: str) -> None:
    """The error names the entry."""
    with pytest.raises(CertificateError, match=message):
        entries_of(secret(data=data))


def test_other_entries_are_not_decoded() -> None:
    """An entry with another name may have any content."""
    assert entries_of(secret(data={"theirs": 7})) == {}


def test_a_request_for_a_rotation_is_read_and_removed() -> None:
    """The annotation of `kubectl annotate` is parsed, and removed without other changes."""
    asked = with_request(secret(), NOW)
    removed = without_request(asked)

    assert requested_rotation(asked) == NOW
    assert requested_rotation(removed) is None
    assert removed == {**secret(), "metadata": {**secret()["metadata"], "annotations": {}}}
    assert requested_rotation(secret()) is None


@pytest.mark.parametrize(
    ("value", "requested"),
    [
        ("2027-03-01T12:00:00Z", datetime(2027, 3, 1, 12, tzinfo=UTC)),
        ("2027-03-01T14:00:00+02:00", datetime(2027, 3, 1, 12, tzinfo=UTC)),
        ("2027-03-01T12:00:00", None),
        ("yes", None),
        ("", None),
        (7, None),
    ],
)
def test_a_request_must_be_a_time_in_rfc_3339(value: object, requested: datetime | None) -> None:
    """Any other value is not a request."""
    annotated = secret()
    annotated["metadata"]["annotations"] = {ROTATE_ANNOTATION: value}

    assert requested_rotation(annotated) == requested


def test_annotations_of_the_wrong_type_are_not_a_request() -> None:
    """A malformed object does not stop the keeper."""
    assert requested_rotation({"metadata": {"annotations": None}}) is None
