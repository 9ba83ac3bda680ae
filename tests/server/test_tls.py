"""How a serving pair is loaded, and replaced while connections exist."""

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from server_builders import (
    AUTHORITY,
    PAIR,
    Running,
    client_context,
    logged,
    pair,
    post,
    review,
    running,
    until,
)
from strange_certificates import of_version_4

from certs.authority import KeyPair, issue_serving_pair, make_authority
from webhook.server import CertificateSource, Metrics, PairError
from webhook.server.tls import MAX_FILE_BYTES, PairFiles

OTHER = pair(days=6)


def metrics() -> Metrics:
    return Metrics(version="test")


def write(directory: Path, served: KeyPair, ca: bytes | None = None) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "tls.crt").write_bytes(served.certificate_pem())
    (directory / "tls.key").write_bytes(served.key_pem())
    (directory / "ca.crt").write_bytes(AUTHORITY.certificate_pem() if ca is None else ca)


def mount(directory: Path, version: str, served: KeyPair) -> None:
    """Write a version of a Secret and swap it in by symlink, as the kubelet does."""
    write(directory / version, served)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..tmp").symlink_to(version)
    (directory / "..tmp").replace(directory / "..data")


def der(served: KeyPair) -> bytes:
    return served.certificate.public_bytes(serialization.Encoding.DER)


async def loaded(directory: Path) -> CertificateSource:
    source = CertificateSource(metrics=metrics(), directory=directory)
    await source.load()
    return source


async def served_by(server: Running, **options: object) -> bytes:
    connected = await server.connect(**options)  # type: ignore[arg-type]
    return connected.certificate()


async def test_a_swapped_secret_is_served_to_new_handshakes_and_old_connections_live(tmp_path: Path) -> None:
    """New handshakes get the new pair, existing connections go on."""
    mount(tmp_path, "one", PAIR)
    source = await loaded(tmp_path)
    async with running(source=source) as server:
        before = await server.connect()
        await before.ask(post(review()))
        mount(tmp_path, "two", OTHER)
        watching = asyncio.create_task(source.watch(poll_seconds=0.001))
        await until(lambda: source.not_after == OTHER.certificate.not_valid_after_utc)
        watching.cancel()

        assert before.certificate() == der(PAIR)
        assert await served_by(server) == der(OTHER)
        assert (await before.ask(post(review()))).status == 200


async def test_a_swap_between_two_reads_does_not_mix_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the Secret is swapped after the certificate was read, the key is of the same version."""
    mount(tmp_path, "one", PAIR)

    def read_and_swap(path: Path) -> bytes:
        content = path.read_bytes()
        if path.name == "tls.crt" and not (tmp_path / "two").exists():
            mount(tmp_path, "two", OTHER)
        return content

    monkeypatch.setattr("webhook.server.tls._read_file", read_and_swap)
    source = await loaded(tmp_path)

    assert source.not_after == PAIR.certificate.not_valid_after_utc
    assert await source.reload()
    assert source.not_after == OTHER.certificate.not_valid_after_utc


async def test_no_handshake_fails_while_pairs_are_swapped() -> None:
    """In a hundred swaps, each handshake gets one of the two pairs."""
    async with running() as server:
        done = asyncio.Event()

        async def swap() -> None:
            for number in range(100):
                each = (PAIR, OTHER)[number % 2]
                server.source.install(each.certificate_pem(), each.key_pem())
                await asyncio.sleep(0)
            done.set()

        async def knock() -> set[bytes]:
            seen: set[bytes] = set()
            while not done.is_set():
                connected = await server.connect()
                seen.add(connected.certificate())
                assert (await connected.ask(post(review()))).status == 200
                await connected.close()
            return seen

        results = await asyncio.gather(swap(), *(knock() for _ in range(4)))

    assert set().union(*results[1:]) <= {der(PAIR), der(OTHER)}


def torn(directory: Path) -> None:
    (directory / "tls.crt").write_bytes(OTHER.certificate_pem())


def truncated_certificate(directory: Path) -> None:
    (directory / "tls.crt").write_bytes(OTHER.certificate_pem()[:200])


def truncated_key(directory: Path) -> None:
    (directory / "tls.key").write_bytes(PAIR.key_pem()[:60])


def empty(directory: Path) -> None:
    (directory / "tls.crt").write_bytes(b"")


def huge(directory: Path) -> None:
    (directory / "tls.crt").write_bytes(PAIR.certificate_pem() * 200)


def huge_ca(directory: Path) -> None:
    (directory / "ca.crt").write_bytes(b"-" * (MAX_FILE_BYTES + 1))


def bad_ca(directory: Path) -> None:
    (directory / "ca.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def strange(directory: Path) -> None:
    (directory / "tls.crt").write_bytes(of_version_4(PAIR.certificate))


def strange_ca(directory: Path) -> None:
    (directory / "ca.crt").write_bytes(of_version_4(AUTHORITY.certificate))


def missing(directory: Path) -> None:
    (directory / "tls.key").unlink()


def expired(directory: Path) -> None:
    then = datetime.now(UTC) - timedelta(days=30)
    ca = make_authority(now=then)
    write(directory, issue_serving_pair(ca, names=("localhost",), now=then))


def encrypted(directory: Path) -> None:
    (directory / "tls.key").write_bytes(
        PAIR.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


DAMAGES = (
    torn,
    truncated_certificate,
    truncated_key,
    empty,
    huge,
    huge_ca,
    bad_ca,
    strange,
    strange_ca,
    missing,
    expired,
    encrypted,
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_files_leave_the_pair_in_use(tmp_path: Path, damage: object) -> None:
    """The fault is counted and logged once, and a valid pair is installed later."""
    write(tmp_path, PAIR)
    source = await loaded(tmp_path)
    async with running(source=source) as server:
        with logged("webhook.server.tls") as log:
            damage(tmp_path)  # type: ignore[operator]
            results = [await source.reload() for _ in range(3)]

            assert results == [False, False, False]
            assert [record.levelname for record in log.records] == ["ERROR"]
            assert b"PRIVATE" not in log.lines[0].encode()
            assert await served_by(server) == der(PAIR)
            assert source.problem() is None
            write(tmp_path, OTHER)
            assert await source.reload()
            assert await served_by(server) == der(OTHER)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_files_fail_the_start(tmp_path: Path, damage: object) -> None:
    """Without a pair in use, the fault is raised with its reason."""
    write(tmp_path, PAIR)
    damage(tmp_path)  # type: ignore[operator]

    with pytest.raises(PairError):
        await loaded(tmp_path)


async def test_reload_errors_are_counted(tmp_path: Path) -> None:
    """Each failed attempt counts, and the metrics keep the expiry of the pair in use."""
    write(tmp_path, PAIR)
    shown = metrics()
    source = CertificateSource(metrics=shown, directory=tmp_path)
    await source.load()
    torn(tmp_path)
    for _ in range(2):
        await source.reload()
    text = shown.exposition()[0].decode()

    assert "eem_guardrail_certificate_reload_errors_total 2.0" in text
    expiry = PAIR.certificate.not_valid_after_utc.timestamp()
    assert shown.registry.get_sample_value(
        "eem_guardrail_certificate_not_after_timestamp_seconds", {"certificate": "serving"}
    ) == pytest.approx(expiry)


@pytest.mark.parametrize("damage", [strange, strange_ca])
async def test_an_unknown_x509_version_does_not_end_the_watch(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It is refused and counted at each check, and the next valid pair is installed."""
    write(tmp_path, PAIR)
    shown = metrics()
    source = CertificateSource(metrics=shown, directory=tmp_path)
    await source.load()
    damage(tmp_path)
    watching = asyncio.create_task(source.watch(poll_seconds=0.001))
    faults = "eem_guardrail_certificate_reload_errors_total"
    await until(lambda: watching.done() or (shown.registry.get_sample_value(faults) or 0) >= 2)

    assert not watching.done()
    assert source.not_after == PAIR.certificate.not_valid_after_utc
    write(tmp_path, OTHER)
    await until(lambda: source.not_after == OTHER.certificate.not_valid_after_utc)
    watching.cancel()


def test_an_unusable_pair_is_counted_each_time_and_logged_once() -> None:
    """The old pair stays; after a valid pair, the next fault is logged again."""
    shown = metrics()
    source = CertificateSource(metrics=shown)
    source.take(PAIR.certificate_pem(), PAIR.key_pem(), AUTHORITY.certificate_pem())
    with logged("webhook.server.tls") as log:
        for _ in range(3):
            with pytest.raises(PairError, match="does not fit"):
                source.take(PAIR.certificate_pem(), OTHER.key_pem())
        source.count_fault()

        assert [record.levelname for record in log.records] == ["ERROR"]
    assert source.not_after == PAIR.certificate.not_valid_after_utc
    assert source.ca_bundle == AUTHORITY.certificate_pem()
    assert shown.registry.get_sample_value("eem_guardrail_certificate_reload_errors_total") == 4
    source.take(OTHER.certificate_pem(), OTHER.key_pem())
    assert source.not_after == OTHER.certificate.not_valid_after_utc


async def test_unchanged_content_is_not_loaded_again(tmp_path: Path) -> None:
    """Files that are rewritten with the same content change nothing."""
    write(tmp_path, PAIR)
    source = await loaded(tmp_path)
    write(tmp_path, PAIR)
    with logged("webhook.server.tls") as log:
        assert await source.reload()

    assert log.records == []


async def test_a_secret_without_ca_is_served(tmp_path: Path) -> None:
    """If another service publishes the CA, ca.crt may be missing."""
    write(tmp_path, PAIR)
    with_ca = await loaded(tmp_path)
    (tmp_path / "ca.crt").unlink()
    without = await loaded(tmp_path)

    assert with_ca.ca_bundle == AUTHORITY.certificate_pem()
    assert without.ca_bundle == b""
    assert without.problem() is None


async def test_without_a_pair_handshakes_are_refused() -> None:
    """/readyz shows the reason."""
    source = CertificateSource(metrics=metrics())

    assert source.problem() == "no certificate is loaded"
    assert source.ca_bundle == b""
    with pytest.raises(PairError, match="no directory"):
        await source.load()
    async with running(source=source) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect()
        source.install(PAIR.certificate_pem(), PAIR.key_pem())
        assert await served_by(server) == der(PAIR)


async def test_an_expired_certificate_makes_the_replica_unready() -> None:
    """The check compares with the current time."""
    source = CertificateSource(metrics=metrics())
    soon = issue_serving_pair(AUTHORITY, names=("localhost",), now=datetime.now(UTC), lifetime=timedelta(seconds=1))
    try:
        source.install(soon.certificate_pem(), soon.key_pem())
    except PairError:  # the machine was slow; then it is too late to install it
        return
    await until(lambda: source.problem() is not None)

    assert "expired at" in str(source.problem())


async def test_handshakes_without_a_server_name_get_the_pair() -> None:
    """A client that connects to an IP address sends no server name."""
    context = client_context()
    context.check_hostname = False
    async with running() as server:
        server.source.install(OTHER.certificate_pem(), OTHER.key_pem())

        assert await served_by(server, tls=context, name="") == der(OTHER)
        assert await served_by(server, name="127.0.0.1") == der(OTHER)


async def test_tls_is_1_3_without_tickets_and_speaks_http_1_1() -> None:
    """This is the default: TLS 1.3 only, no session to resume, one protocol."""
    context = client_context()
    async with running() as server:
        connected = await server.connect(tls=context)
        await connected.ask(post(review()))
        tls = connected.writer.get_extra_info("ssl_object")

        assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        assert tls.session is None or not tls.session.has_ticket
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect(tls=context)


async def test_tls_1_2_by_option_is_forward_secret_and_authenticated() -> None:
    """Only ciphers with forward secrecy and authentication are accepted, and no session is resumed."""
    source = CertificateSource(metrics=metrics(), minimum_version=ssl.TLSVersion.TLSv1_2)
    source.install(PAIR.certificate_pem(), PAIR.key_pem())
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    weak = client_context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES256-SHA384:AES256-GCM-SHA384:@SECLEVEL=0")
    async with running(source=source) as server:
        connected = await server.connect(tls=context)
        tls = connected.writer.get_extra_info("ssl_object")

        assert tls.version() == "TLSv1.2"
        assert tls.cipher()[0].startswith("ECDHE-ECDSA-")
        assert any(mode in tls.cipher()[0] for mode in ("GCM", "CHACHA20"))
        assert not tls.session.has_ticket
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect(tls=weak)


def test_the_key_never_stays_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair in memory leaves no file, even if the system has no files in memory."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for _ in range(2):
        source = CertificateSource(metrics=metrics())
        source.install(PAIR.certificate_pem(), PAIR.key_pem())

        assert source.problem() is None
        assert not any(tmp_path.iterdir())
        monkeypatch.delattr(os, "memfd_create", raising=False)


def test_the_key_is_not_in_the_repr() -> None:
    """A traceback that shows the files does not show the key."""
    files = PairFiles(certificate=b"c", key=b"topsecret")

    assert "topsecret" not in repr(files)
