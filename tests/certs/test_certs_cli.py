"""The certificate tool, run on real directories."""

import os
import runpy
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_builders import authority, openssl, pair

from certs import KeyPair, load_pair
from certs.cli import main
from certs.files import Directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def write(directory: Path, ca: KeyPair, leaf: KeyPair) -> None:
    Directory(path=directory).write_authority(ca)
    Directory(path=directory).write_serving_pair(leaf)


def test_init_makes_the_four_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After `init` openssl accepts the pair for every name, and the keys are their owner's alone."""
    out = tmp_path / "made" / "here"
    status = main(["init", "--out", str(out), "--service", "g", "--namespace", "n", "--name", "127.0.0.1"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    strict = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", out / "ca.crt")

    assert status == 0
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600}
    for name in ("g", "g.n", "g.n.svc"):
        assert openssl(*strict, "-verify_hostname", name, out / "tls.crt").returncode == 0
    assert openssl(*strict, "-verify_ip", "127.0.0.1", out / "tls.crt").returncode == 0
    assert load_pair((out / "tls.crt").read_bytes(), (out / "tls.key").read_bytes())
    assert "g, g.n, g.n.svc, 127.0.0.1" in capsys.readouterr().out


def test_init_replaces_nothing_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that holds a key is left as it is; --force makes everything new."""
    assert main(["init", "--out", str(tmp_path)]) == 0
    before = contents(tmp_path)

    assert main(["init", "--out", str(tmp_path)]) == 2
    assert contents(tmp_path) == before
    assert "already holds ca.crt, ca.key, tls.crt, tls.key" in capsys.readouterr().err
    assert main(["init", "--out", str(tmp_path), "--force"]) == 0
    assert not set(before.values()) & set(contents(tmp_path).values())


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """When a file cannot take its place, the files written beside it are removed."""
    (tmp_path / "ca.crt").mkdir()

    assert main(["init", "--out", str(tmp_path), "--force"]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_fresh_pair_is_not_renewed_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`renew` does nothing before two thirds of the life; --force keeps the names and the authority."""
    main(["init", "--out", str(tmp_path), "--name", "extra.example"])
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == before
    assert "not due before" in capsys.readouterr().out
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"tls.crt", "tls.key"}
    assert "extra.example" in capsys.readouterr().out
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_a_pair_past_two_thirds_is_renewed(tmp_path: Path) -> None:
    """`renew` replaces a pair that is due."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=6))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=5)))
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path)["tls.crt"] != before["tls.crt"]


def test_a_pair_of_another_authority_is_shown_as_such_and_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A serving certificate that the authority did not sign is reported, and due at once."""
    now = datetime.now(UTC)
    write(tmp_path, authority(now=now), pair(authority(now=now), now=now))

    assert main(["show", "--out", str(tmp_path)]) == 1
    assert "not signed by the authority" in capsys.readouterr().err
    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_an_expired_pair_is_shown_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints what is there and says that it is no longer valid."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=30))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=20)))

    assert main(["show", "--out", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "the serving certificate is not valid now" in output.err
    assert "sha-256" in output.out


def test_the_signer_is_found_in_a_bundle(tmp_path: Path) -> None:
    """Where ca.crt holds several authorities, the one that ca.key belongs to signs."""
    now = datetime.now(UTC)
    ca, other = authority(now=now), authority(now=now)
    write(tmp_path, ca, pair(ca, now=now))
    (tmp_path / "ca.crt").write_bytes(other.certificate_pem() + ca.certificate_pem())

    signer = Directory(path=tmp_path).material().signer
    assert signer is not None
    assert signer.certificate == ca.certificate
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("ca.crt", None, "ca.crt: No such file"),
        ("tls.key", None, "tls.key: No such file"),
        ("tls.crt", b"nonsense", "cannot be read"),
        ("ca.key", b"nonsense", "ca.key cannot be read"),
        ("tls.crt", b"x" * 65_537, "more than 65536 bytes"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, complaint: str
) -> None:
    """A missing or unreadable file ends the tool with status 2 and a sentence."""
    main(["init", "--out", str(tmp_path)])
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)

    assert main(["show", "--out", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_bad_name_ends_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that cannot be certified is refused before anything is written."""
    assert main(["init", "--out", str(tmp_path), "--name", "not a name"]) == 2
    assert "'not a name' is neither" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m certs` is the tool."""
    monkeypatch.setattr(sys, "argv", ["certs", "init", "--out", os.fspath(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        runpy.run_module("certs", run_name="__main__")
    assert ended.value.code == 0
    assert (tmp_path / "tls.key").exists()
