"""Certificates are rotated, lost and damaged: no handshake fails, and the user need not act."""

import base64
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from harness.certificates import Kept, Phase
from harness.loading import Load, LoadReport
from harness.machine import Machine
from harness.mix import CHURNING
from harness.place import Place
from harness.registering import PRUNING, RegisteringGuard
from harness.waiting import hold, wait_until
from harness.witness import asked_by_the_service, uncalled

Say = Callable[[str, object], None]

ROTATION_SECONDS = 150  # 3 s until it is trusted, a minute of the last leaf, 17 s for the Lease after each kill
REPAIRED_SECONDS = 30
KILLED_AT = (Phase.TRUSTED, Phase.SIGNING, Phase.RESTING)
WIPED_EACH_SECONDS = 5
PASSES_AGAIN_SECONDS = 2  # since the start of the kubectl that removes it
STAYS_SECONDS = 10
MANY = 10
UNGUARDED_SECONDS = 30
DRIFTED = "ConfigurationDrift"
TOLD_SECONDS = 60  # the Lease of a killed replica, and a margin


@pytest.fixture
def kept(guard: RegisteringGuard) -> Kept:
    """Return the Secret when no rotation is under way."""
    wait_until(lambda: guard.kept.phase() is Phase.RESTING, "the end of a rotation", seconds=ROTATION_SECONDS)
    guard.until_registered()
    return guard.kept


def after_kills(found: LoadReport, kills: list[float], seconds: float) -> list[str]:
    """Return the messages of dropped requests and failed handshakes, except those just after a kill."""
    failures = [*found.dropped, *found.handshake_failures]
    return [one["text"] for one in failures if not any(-1 <= one["began"] - kill <= seconds for kill in kills)]


def unverified(found: LoadReport) -> list[str]:
    """Return the messages of failures because a certificate was not trusted."""
    texts = [one["text"] for one in found.dropped if "x509" in one["text"] or "tls:" in one["text"]]
    return texts + [one["text"] for one in found.distrusted]


def rotate(kept: Kept) -> Iterator[Phase]:
    """Request a rotation, and yield each phase when it is observed."""
    before = kept.authorities()
    kept.ask_for_rotation()
    for phase in KILLED_AT:
        wait_until(
            lambda phase=phase: kept.phase() is phase and kept.authorities() != before,
            f"this phase of a rotation: {phase}",
            seconds=ROTATION_SECONDS,
        )
        yield phase


@pytest.mark.quick
def test_show_prints_the_certificates_of_the_secret_without_keys(kept: Kept) -> None:
    """`show` prints the CA and the serving certificate of the Secret, and no key."""
    shown = kept.by_hand("show")

    assert "CA (signs)" in shown
    assert "serving" in shown
    assert "PRIVATE KEY" not in shown


@pytest.mark.parametrize("rotations", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_rotations_under_load_fail_no_handshake(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, rotations: int
) -> None:
    """The CA is replaced again and again, and every handshake is trusted."""
    seen = [kept.authorities()]
    with load(handshakes=4) as pressing:
        for _ in range(rotations):
            list(rotate(kept))
            guard.until_registered()
            seen.append(kept.authorities())
        pressing.go_on(1)

    found = pressing.report
    figure(f"{rotations} rotations", found.summary())
    assert len({tuple(one) for one in seen}) == rotations + 1
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])


@pytest.mark.parametrize("rotations", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_a_rotation_continues_after_the_leader_is_killed(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, rotations: int
) -> None:
    """The leader is killed after each step. Another replica continues, and every served certificate stays trusted."""
    kills: list[float] = []
    with load(handshakes=4) as pressing:
        for _ in range(rotations):
            kills += [guard.kill_leader() for _ in rotate(kept)]
            guard.until_ready()
            guard.until_registered()
        pressing.go_on(1)

    found = pressing.report
    figure(f"{rotations} rotations, rotator killed", [found.summary(), f"{len(kills)} kills"])
    assert len(kills) == rotations * len(KILLED_AT)
    assert (unverified(found), found.wrong) == ([], [])
    assert after_kills(found, kills, seconds=5) == []


JUNK = b"-----BEGIN CERTIFICATE-----\n" + b"A" * 1_000_000  # a Secret holds 1 MiB
KEYLESS = "authority without key"  # this begins a rotation, which takes a minute
DAMAGES: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    KEYLESS: lambda data: {key: text for key, text in data.items() if key != "ca.key"},
    "emptied": lambda _: {},
    "truncated": lambda data: data | {"tls.crt": data["tls.crt"][: len(data["tls.crt"]) // 8 * 4]},
    "mismatched": lambda data: data | {"tls.key": data["ca.key"]},
    "junk": lambda data: data | {"ca.crt": base64.b64encode(JUNK).decode()},
}


@pytest.mark.parametrize(
    "damage",
    [pytest.param("deleted", marks=pytest.mark.quick), *(name for name in DAMAGES if name != KEYLESS)],
)
def test_a_damaged_secret_is_restored_with_the_same_ca(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, damage: str
) -> None:
    """The replicas restore the Secret from memory, and no request fails."""
    lose(guard, kept, load, figure, damage)


def lose(guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, damage: str) -> None:
    """Damage the Secret under load, and compare the restored one with the one before."""
    before = kept.authorities()
    with load(handshakes=4) as pressing:
        pressing.go_on(1)
        began = time.monotonic()
        if damage == "deleted":
            kept.delete()
        else:
            kept.replace(DAMAGES[damage](kept.data()))
        wait_until(lambda: is_whole(kept), f"the repair of the Secret that was {damage}", seconds=REPAIRED_SECONDS)
        took = time.monotonic() - began
        guard.until_registered()
        pressing.go_on(1)

    found = pressing.report
    figure(f"Secret {damage}", [found.summary(), f"whole again after {took:.1f} s"])
    assert set(before) <= set(kept.authorities())
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])


def is_whole(kept: Kept) -> bool:
    """Whether the Secret has its keys, with valid lengths."""
    data = kept.data()
    return {"ca.crt", "ca.key", "tls.crt", "tls.key"} <= data.keys() and len(data["ca.crt"]) < 20_000 and fits(data)


def fits(data: dict[str, str]) -> bool:
    """Whether the certificate and the key of the serving pair belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
        key = load_pem_private_key(base64.b64decode(data["tls.key"]), password=None)
    except ValueError:
        return False
    return certificate.public_key() == key.public_key()


@pytest.mark.parametrize("wipes", [pytest.param(3, id="3"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_a_removed_bundle_blocks_changes_for_less_than_two_seconds(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, wipes: int
) -> None:
    """Another program removes the caBundle every five seconds, and the service restores it."""
    assert kept.phase() is Phase.RESTING
    took, times = [], []
    with load() as pressing:
        for _ in range(wipes):
            pressing.go_on(WIPED_EACH_SECONDS)
            times.append(time.time())
            began = time.monotonic()
            guard.wipe()
            guard.until_registered()
            took.append(time.monotonic() - began)
        pressing.go_on(2)

    found = pressing.report
    windows = [found.dropped_between(at - 1, later - 1) for at, later in zip(times, [*times[1:], 1e12], strict=True)]
    late = [max(window, default=at) - at for window, at in zip(windows, times, strict=True)]
    said = [
        f"back after {rounded(took)} s",
        f"lost {[len(one) for one in windows]}",
        f"the last {rounded(late)} s after",
    ]
    figure(f"caBundle wiped {wipes} times", [found.summary(), *said])
    assert found.wrong == []
    assert sum(map(len, windows)) == len(found.dropped)
    assert max(late) <= PASSES_AGAIN_SECONDS
    assert max(took) <= REPAIRED_SECONDS


def rounded(seconds: list[float]) -> str:
    """Return figures as text, the smallest first."""
    return " ".join(f"{one:.1f}" for one in sorted(seconds))


@pytest.mark.parametrize(
    "times", [pytest.param(3, id="3", marks=pytest.mark.quick), pytest.param(10, id="10", marks=pytest.mark.long)]
)
def test_applying_the_manifests_again_keeps_the_registration(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say, times: int
) -> None:
    """Applying them again and again, in three ways, changes nothing that the service has registered."""
    before = guard.entries()
    with load() as pressing:
        for _ in range(times):
            guard.apply()
            guard.apply("--server-side", "--force-conflicts")
            guard.apply(*PRUNING)
        pressing.go_on(1)

    found = pressing.report
    figure(f"manifests applied {times} times more, each way of three", found.summary())
    assert kept.phase() is Phase.RESTING
    assert guard.entries() == before
    assert (found.dropped, found.wrong) == ([], [])


@pytest.mark.usefixtures("kept")
def test_drift_is_reported_in_one_event(guard: RegisteringGuard) -> None:
    """The service does not change the fields of the manifests. After a new leader is elected, it is still one Event."""
    guard.drift()
    (first,) = wait_until(lambda: guard.told(DRIFTED), "the Event about the drift", seconds=TOLD_SECONDS)
    guard.kill_leader()
    wait_until(lambda: guard.told(DRIFTED) != [first], "the Event to be written again", seconds=TOLD_SECONDS)
    guard.until_ready()
    guard.apply_configurations()
    guard.until_registered()

    assert len(guard.told(DRIFTED)) == 1


@pytest.mark.usefixtures("kept")
def test_a_deleted_configuration_stays_deleted_under_load(
    machine: Machine, guard: RegisteringGuard, load: Callable[..., Load]
) -> None:
    """After the manifests are applied again, the service registers itself again."""
    counted = uncalled(machine)
    machine.must("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "eem-guardrail")
    hold(lambda: guard.entries() == [], "nothing registered", seconds=STAYS_SECONDS)
    guard.apply_configurations()
    guard.until_registered()
    with load() as pressing:
        pressing.go_on(2)

    assert uncalled(machine) == counted
    assert (pressing.report.dropped, pressing.report.wrong) == ([], [])


def test_a_missing_ca_key_is_restored_or_replaced(
    guard: RegisteringGuard, kept: Kept, load: Callable[..., Load], figure: Say
) -> None:
    """The key of the CA is restored from memory, or a rotation begins. The next test need not wait for its end."""
    lose(guard, kept, load, figure, KEYLESS)


@pytest.mark.parametrize("starts", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_ten_replicas_that_start_together_make_one_ca(  # noqa: PLR0913, PLR0917 - fixtures
    machine: Machine, guard: RegisteringGuard, busy: Place, load: Callable[..., Load], figure: Say, starts: int
) -> None:
    """They start without a Secret, and no request is denied because of them."""
    replicas = len(guard.replicas())
    try:
        took = [start_together(machine, guard, busy, load) for _ in range(starts)]
    finally:  # the tests after this one count on the usual number
        guard.scale(replicas)
    figure(f"{starts} first starts of {MANY}", f"all ready after {rounded(took)} s")


def start_together(machine: Machine, guard: RegisteringGuard, busy: Place, load: Callable[..., Load]) -> float:
    """Start the replicas without a Secret, under load, and return the seconds until all of them were ready."""
    guard.take_away()
    machine.must("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "eem-guardrail")
    guard.kept.delete()
    wait_until(
        lambda: passes_unasked(machine, busy), "a change to be allowed without a replica", seconds=UNGUARDED_SECONDS
    )
    made = secrets_made(machine)
    with load(harmless=True) as pressing:
        guard.apply_configurations()
        began = time.monotonic()
        guard.scale(MANY)
        took = time.monotonic() - began
        guard.until_registered()
        wait_until(
            lambda: busy.name in guard.registered(), "the registration of the namespace", seconds=UNGUARDED_SECONDS
        )
        pressing.go_on(1)

    assert (pressing.report.dropped, pressing.report.wrong) == ([], [])
    assert len(guard.ready()) == MANY
    assert len(guard.kept.authorities()) == 1
    assert secrets_made(machine) == made + 1
    return took


def passes_unasked(machine: Machine, busy: Place) -> bool:
    """Whether a change is allowed while no replica runs."""
    flags = (f"--namespace={busy.name}", "--dry-run=server")
    return machine.kubectl("delete", "networkpolicy", CHURNING[0], *flags).status == 0


def secrets_made(machine: Machine) -> int:
    """Count the Secrets that the service has created."""
    asked = asked_by_the_service(machine)
    return sum((one.verb, one.resource, one.status) == ("create", "secrets", 201) for one in asked)
