"""`eem-guardrail completion`: scripts with which shells complete commands, options, values and files."""

import subprocess
import sys
from pathlib import Path

import pytest

from webhook.cli import COMMANDS, main

COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_eem_guardrail 2> /dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    file = tmp_path / "completion.bash"
    file.write_text(capsys.readouterr().out)
    return file


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["ch"], {"check"}, id="a command"),
        pytest.param([""], set(COMMANDS), id="every command"),
        pytest.param(["check", "--apply-"], {"--apply-mode"}, id="an option"),
        pytest.param(["check", "--apply-mode", "se"], {"server-side"}, id="a value"),
        pytest.param(["audit", "--fi"], {"--fix"}, id="an option of another command"),
        pytest.param(["check", "--state", "clus"], {"cluster.json"}, id="a file"),
    ],
)
def test_bash_completes(words: list[str], expected: set[str], script: Path, tmp_path: Path) -> None:
    """As the real bash runs the script."""
    (tmp_path / "cluster.json").touch()
    command = ["bash", "-c", COMPLETE, "bash", str(script), "eem-guardrail", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)

    assert set(done.stdout.split()) >= expected
    assert words[-1] == "" or set(done.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_have_every_command_and_option(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the help of each."""
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out

    assert [command for command in COMMANDS if command not in out] == []
    assert "apply-mode" in out
    assert "server-side" in out


def test_no_other_command_loads_the_library() -> None:
    """It would take time at each start."""
    code = "import sys; from webhook.cli import main; main(['version']); print('shtab' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"
