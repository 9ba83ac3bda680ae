"""The certificate tool, run on real directories and as a real process."""

import errno
import os
import select
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_builders import authority, openssl, pair

from certs.authority import KeyPair, load_pair
from certs.by_hand import rotate
from certs.command import Directory, main
from certs.material import Material, new_material
from certs.renewal import Lifetimes

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 30.0  # for a process to start on a busy machine
FILES = {"ca.crt", "ca.key", "tls.crt", "tls.key"}
# Modules that replace what the tool imports or calls. They report that they are reached, and wait for Ctrl-C.
WAITING = """
import os, pathlib
def wait(*_):
    os.write(int(os.environ["REACHED"]), b"."); os.read(int(os.environ["SENT"]), 1)
"""
STALLED_IMPORT = f"{WAITING}wait()\n"
STALLED_READ = f"{WAITING}pathlib.Path.exists = wait\n"
SLOW_WRITE = f"""{WAITING}
fsync = os.fsync
def slow(descriptor):
    fsync(descriptor); wait()
os.fsync = slow
"""


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def write(directory: Path, ca: KeyPair, leaf: KeyPair) -> None:
    Directory(path=directory).write(Material(bundle=(ca.certificate,), signer=ca, leaf=leaf))


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a user, who has not set PYTHONUNBUFFERED."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**ours, "PYTHONPATH": str(ROOT), **variables}


def tool(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the tool as a process."""
    command = [sys.executable, "-m", "certs", *map(str, arguments)]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **options}
    return subprocess.run(command, text=True, check=False, **given)  # type: ignore[call-overload,no-any-return]


def interrupted(
    folder: Path, module: str, text: str, *arguments: str | Path, shell: str = 'exec "$@"'
) -> tuple[int, str, str]:
    """Start the tool with a replaced module, send SIGINT when it is reached, and return status and output."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / module).write_text(text)
    reached, reports = os.pipe()
    waits, sent = os.pipe()
    with subprocess.Popen(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "certs", *map(str, arguments)],
        cwd=folder,
        env=environment(PYTHONPATH=f"{modules}{os.pathsep}{ROOT}", REACHED=str(reports), SENT=str(waits)),
        pass_fds=(reports, waits),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(reports)
        os.close(waits)
        try:
            ready, _, _ = select.select([reached], [], [], SECONDS)
            if ready and os.read(reached, 1):  # nothing is read if the tool has ended before
                process.send_signal(signal.SIGINT)
            os.close(sent)  # the module stops waiting
            output, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            os.close(reached)
    assert ready, "the module was not reached"
    return process.returncode, output, errors


def test_init_makes_four_files_that_openssl_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The openssl command accepts the pair for every name, and only the owner can read the keys."""
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


def test_init_replaces_existing_files_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --force a directory that holds a key stays as it is. With --force every file is new."""
    assert main(["init", "--out", str(tmp_path)]) == 0
    before = contents(tmp_path)

    assert main(["init", "--out", str(tmp_path)]) == 2
    assert contents(tmp_path) == before
    assert "already holds ca.crt, ca.key, tls.crt, tls.key" in capsys.readouterr().err
    assert main(["init", "--out", str(tmp_path), "--force"]) == 0
    assert not set(before.values()) & set(contents(tmp_path).values())


def test_a_failed_write_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a file cannot be replaced, the files that were written beside it are removed."""

    def fail(_path: Path, _target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", fail)

    assert main(["init", "--out", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert f"cannot write to {tmp_path}: Read-only file system" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the directory and the reason."""
    (tmp_path / "file").touch()

    assert main(["init", "--out", str(tmp_path / "file" / "tls")]) == 2
    assert f"cannot write to {tmp_path}/file/tls: Not a directory" in capsys.readouterr().err


def test_renew_replaces_a_new_pair_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`renew` changes nothing before two thirds of the lifetime. With --force it keeps the names and the authority."""
    main(["init", "--out", str(tmp_path), "--name", "extra.example"])
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == before
    assert "not due for renewal before" in capsys.readouterr().out
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"tls.crt", "tls.key"}
    assert "extra.example" in capsys.readouterr().out
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_renew_replaces_a_pair_past_two_thirds_of_its_lifetime(tmp_path: Path) -> None:
    """A pair that was made five days ago is due."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=6))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=5)))
    before = contents(tmp_path)

    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path)["tls.crt"] != before["tls.crt"]


def test_show_reports_a_pair_of_a_different_authority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A serving certificate that the authority did not sign is a problem, and due at once."""
    now = datetime.now(UTC)
    write(tmp_path, authority(now=now), pair(authority(now=now), now=now))

    assert main(["show", "--out", str(tmp_path)]) == 1
    assert "not signed by a CA of the bundle" in capsys.readouterr().err
    assert main(["renew", "--out", str(tmp_path)]) == 0
    assert main(["show", "--out", str(tmp_path)]) == 0


def test_show_reports_an_expired_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints the certificates on standard output, and the problem on standard error."""
    now = datetime.now(UTC)
    ca = authority(now=now - timedelta(days=30))
    write(tmp_path, ca, pair(ca, now=now - timedelta(days=20)))

    assert main(["show", "--out", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "the serving certificate is not valid now" in output.err
    assert "sha-256" in output.out


@pytest.mark.parametrize("command", ["show", "renew", "rotate-ca"])
def test_a_directory_without_certificates_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """In a new clone, the message names the command that makes the certificates."""
    monkeypatch.chdir(tmp_path)

    assert main([command]) == 2
    assert capsys.readouterr().err == (
        "python -m certs: tls holds no certificates; make them with `python -m certs init --out tls`, "
        "or name another directory with --out\n"
    )


def test_the_authority_whose_key_is_present_signs(tmp_path: Path) -> None:
    """If ca.crt holds several authorities, the authority to which ca.key belongs signs."""
    now = datetime.now(UTC)
    ca, other = authority(now=now), authority(now=now)
    write(tmp_path, ca, pair(ca, now=now))
    (tmp_path / "ca.crt").write_bytes(other.certificate_pem() + ca.certificate_pem())

    signer = Directory(path=tmp_path).material().signer
    assert signer is not None
    assert signer.certificate == ca.certificate
    assert main(["renew", "--out", str(tmp_path), "--force"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ca.crt", None, "ca.crt: No such file"),
        ("tls.key", None, "tls.key: No such file"),
        ("tls.crt", b"nonsense", "cannot be read"),
        ("ca.key", b"nonsense", "ca.key cannot be read"),
        ("tls.crt", b"x" * 65_537, "more than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, message: str
) -> None:
    """If a file is missing or unreadable, the tool ends with status 2 and names the file."""
    main(["init", "--out", str(tmp_path)])
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)

    assert main(["show", "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_an_invalid_name_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid name is rejected before any file is written."""
    assert main(["init", "--out", str(tmp_path), "--name", "not a name"]) == 2
    assert "'not a name' is neither" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_rotate_ca_makes_a_successor_and_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`rotate-ca` says when to run it again. `show` names the successor."""
    main(["init", "--out", str(tmp_path)])
    before = contents(tmp_path)

    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before.get(name)} == {"ca.crt", "ca-next.key"}
    assert stat.S_IMODE((tmp_path / "ca-next.key").stat().st_mode) == 0o600
    assert "publish ca.crt in every webhook configuration" in capsys.readouterr().out
    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert contents(tmp_path) == after
    assert main(["show", "--out", str(tmp_path)]) == 0
    assert "CA (signs next)" in capsys.readouterr().out


def test_a_rotation_that_has_ended_leaves_four_files(tmp_path: Path) -> None:
    """The last two steps remove the key of the successor and the recorded certificate."""
    now = datetime.now(UTC)
    past = now - timedelta(days=10)
    begun = rotate(
        new_material(("a.b",), now=past, lifetimes=Lifetimes()), now=past, lifetimes=Lifetimes(), force=False
    )
    assert begun.material is not None
    Directory(path=tmp_path).write(begun.material)

    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert set(contents(tmp_path)) == {*FILES, "retired.crt"}
    assert main(["rotate-ca", "--out", str(tmp_path)]) == 0
    assert set(contents(tmp_path)) == FILES


def test_the_tool_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m certs init` makes the files."""
    done = tool("init", "--out", tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert set(contents(tmp_path)) == FILES


@pytest.mark.parametrize(
    ("module", "text"),
    [
        pytest.param("cryptography.py", STALLED_IMPORT, id="while a module is imported"),
        pytest.param("sitecustomize.py", STALLED_READ, id="while a file is read"),
    ],
)
def test_ctrl_c_ends_the_tool_silently_with_130(tmp_path: Path, module: str, text: str) -> None:
    """SIGINT ends the tool with status 130 and without output, also while its modules are imported."""
    assert interrupted(tmp_path, module, text, "show") == (130, "", "")


def test_ctrl_c_leaves_no_half_written_directory(tmp_path: Path) -> None:
    """SIGINT during a write ends the tool after all files are written: no key is left without its certificate."""
    out = tmp_path / "tls"

    assert interrupted(tmp_path, "sitecustomize.py", SLOW_WRITE, "init", "--out", out) == (130, "", "")
    assert set(contents(out)) == FILES
    assert Directory(path=out).material().leaf_authority is not None


def test_a_tool_that_is_started_with_sigint_ignored_keeps_ignoring_it(tmp_path: Path) -> None:
    """A job in the background does not end because the user presses Ctrl-C for the job in the foreground."""
    shell = 'trap "" INT; exec "$@"'

    status, output, errors = interrupted(tmp_path, "sitecustomize.py", SLOW_WRITE, "init", shell=shell)
    assert (status, errors) == (0, "")
    assert "rotation: none" in output


@pytest.mark.parametrize("command", [("show",), ("renew", "--force"), ("--help",), ("show", "--help")], ids=" ".join)
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_output_device_is_an_error(tmp_path: Path, command: tuple[str, ...], buffering: str) -> None:
    """If standard output cannot be written, the tool ends with status 2 and one line on standard error."""
    main(["init", "--out", str(tmp_path)])
    options = () if "--help" in command else ("--out", tmp_path)
    with Path("/dev/full").open("w") as full:
        done = tool(*command, *options, stdout=full, env=environment(PYTHONUNBUFFERED=buffering))

    assert done.returncode == 2
    assert done.stderr == "python -m certs: cannot write the output: No space left on device\n"


def test_a_full_error_device_does_not_change_the_status(tmp_path: Path) -> None:
    """The exit status is the same if the error message cannot be written."""
    with Path("/dev/full").open("w") as full:
        missing = tool("show", "--out", tmp_path, stderr=full)
        usage = tool("unknown", stderr=full)

    assert (missing.returncode, missing.stdout) == (2, "")
    assert (usage.returncode, usage.stdout) == (2, "")


def test_a_closed_pipe_ends_the_tool_silently(tmp_path: Path) -> None:
    """If the reader of the output has closed it, the tool ends with status 2 and without a message."""
    main(["init", "--out", str(tmp_path)])
    reading, writing = os.pipe()
    os.close(reading)
    done = tool("show", "--out", tmp_path, stdout=writing)
    os.close(writing)

    assert (done.returncode, done.stderr) == (2, "")
