"""What is read from the Secret, and what is not."""

from datetime import timedelta

import pytest
from certificate_builders import NAMES, NOW, authority, pair
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from certs import CertificateError, KeyPair, Lifetimes, bundle_to_pem
from certs.material import ENTRIES, MAX_CERTIFICATES_BYTES, MAX_KEY_BYTES, Material, new_material, read_material

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


def test_entries_are_read_as_they_were_written() -> None:
    """All six entries come back as the same material, newest authority first."""
    again = read_material(dict(reversed(GOOD.items())))

    assert set(GOOD) == set(ENTRIES)
    assert again.entries() == GOOD
    assert again.bundle == (NEW.certificate, OLD.certificate)
    assert again.leaf_authority == OLD.certificate


def test_new_material_is_one_authority_and_its_leaf() -> None:
    """What is made first needs neither a successor nor a record of the past."""
    made = new_material(NAMES, now=NOW, lifetimes=LIFETIMES)

    assert set(made.entries()) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert read_material(made.entries()).leaf_authority == made.bundle[0]


def test_the_key_of_the_authority_may_be_missing() -> None:
    """A pair and its bundle can be served: the Secret of an installation by hand has no ca.key."""
    found = read_material({key: GOOD[key] for key in ("ca.crt", "tls.crt", "tls.key")})

    assert found.signer is None
    assert found.successor is None
    assert set(found.entries()) == {"ca.crt", "tls.crt", "tls.key"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"tls.crt": b""}, "tls.crt is missing or empty", id="no certificate"),
        pytest.param({"ca.crt": None}, "ca.crt is missing or empty", id="no bundle"),
        pytest.param({"tls.key": None}, "tls.key is missing or empty", id="no key"),
        pytest.param({"tls.crt": GOOD["tls.crt"][:300]}, "tls.crt cannot be read|pair cannot be read", id="truncated"),
        pytest.param({"ca.crt": GOOD["ca.crt"][:-30]}, "ca.crt cannot be read", id="bundle truncated"),
        pytest.param({"retired.crt": b"junk"}, "retired.crt cannot be read", id="junk on record"),
        pytest.param({"tls.key": pem_key(LEAF.key)}, "does not belong", id="torn: key of another pair"),
        pytest.param({"tls.crt": LEAF.certificate_pem()}, "does not belong", id="torn: certificate of another pair"),
        pytest.param({"ca.key": OTHER.key_pem()}, "ca.key belongs to no certificate", id="foreign authority key"),
        pytest.param({"ca-next.key": OLD.key_pem()}, "same as ca.key", id="the successor is the signer"),
        pytest.param({"ca.key": b"junk"}, "ca.key cannot be read", id="junk for a key"),
        pytest.param({"ca.key": pem_key(OLD.key, b"x")}, "ca.key cannot be read", id="encrypted authority key"),
        pytest.param({"tls.key": pem_key(OLD_LEAF.key, b"x")}, "cannot be read", id="encrypted serving key"),
        pytest.param({"ca.crt": OTHER.certificate_pem(), "ca.key": b"", "ca-next.key": b""}, "not signed", id="alien"),
        pytest.param({"ca.crt": b"-" * (MAX_CERTIFICATES_BYTES + 1)}, "ca.crt has more than", id="bundle too large"),
        pytest.param({"ca.key": b"-" * (MAX_KEY_BYTES + 1)}, "ca.key has more than", id="key too large"),
        pytest.param(
            {"ca.key": pem_key(rsa.generate_private_key(65537, 1024))},  # noqa: S505  a larger one is too large to be read
            "ca.key is not an ECDSA key",
            id="an RSA key",
        ),
        pytest.param(as_signer(bare_certificate(NEW.key), NEW.key), "is not an authority", id="a plain certificate"),
        pytest.param(
            as_signer(bare_certificate(NEW.key, x509.BasicConstraints(ca=True, path_length=None)), NEW.key),
            "is not an authority",
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
            "is not an authority",
            id="a certificate that says it is none",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, bytes | None], complaint: str) -> None:
    """Each fault is told with the entry that has it, and no part of a key."""
    entries = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}

    with pytest.raises(CertificateError, match=complaint) as told:
        read_material(entries)
    assert "PRIVATE" not in str(told.value)


@given(
    entry=st.sampled_from(ENTRIES),
    change=st.one_of(
        st.tuples(st.just("cut"), st.integers(min_value=0, max_value=1500), st.just(b"")),
        st.tuples(st.just("put"), st.integers(min_value=0, max_value=1500), st.binary(min_size=1, max_size=8)),
    ),
)
def test_any_damage_is_a_fault_or_no_damage(entry: str, change: tuple[str, int, bytes]) -> None:
    """However an entry is cut or overwritten, it is refused, or what is read is whole."""
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
        pytest.param(b"-----BEGIN CERTIFICATE-----\n" * 40_000, id="a megabyte of beginnings"),
        pytest.param(b"-" * 2**20, id="a megabyte of dashes"),
    ],
)
def test_what_is_huge_is_refused_by_its_size(entry: str, junk: bytes) -> None:
    """No parser ever sees it, so it costs nothing."""
    with pytest.raises(CertificateError, match=f"{entry} has more than"):
        read_material({**GOOD, entry: junk})


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param((b"-----BEGIN CERTIFICATE-----\n" * 2000)[:MAX_CERTIFICATES_BYTES], id="beginnings"),
        pytest.param(b"-" * MAX_CERTIFICATES_BYTES, id="dashes"),
        pytest.param(strange_pair().certificate_pem() * 10, id="of another curve"),
    ],
)
def test_a_bundle_of_junk_is_refused(junk: bytes) -> None:
    """What is as large as it may be is looked at, and refused."""
    with pytest.raises(CertificateError):
        read_material({**GOOD, "ca.crt": junk})
