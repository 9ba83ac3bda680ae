"""`--help` of every command has examples and the exit status, and what it shows works."""

import re

import pytest

from webhook.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_has_examples_and_the_exit_status(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each example names the command, with flags that it has."""
    status = main([command, "--help"])

    out = capsys.readouterr().out
    usage, _, examples = out.partition("\nexample")
    assert status == 0
    assert examples.count("eem-guardrail ") >= (1 if command == "version" else 2)  # it has nothing to choose
    assert f"eem-guardrail {command}" in examples
    assert "exit status" in examples
    assert set(re.findall(r" (--[a-z-]+)", examples)) <= set(re.findall(r"(--[a-z-]+)", usage))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_a_group(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the help itself, which all commands have, is in none."""
    main([command, "--help"])

    loose = capsys.readouterr().out.partition("\noptions:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (-\S*)", loose, re.MULTILINE) == ["-h,"]


@pytest.mark.parametrize(("terminal", "widest"), [(60, 80), (80, 80), (100, 100), (300, 100)])
@pytest.mark.parametrize("command", [*COMMANDS, ""])
def test_the_help_fits_the_terminal(
    command: str, terminal: int, widest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line is longer than the terminal is wide, or than can be read well; an option of the usage is not broken."""
    monkeypatch.setenv("COLUMNS", str(terminal))
    main([*filter(None, [command]), "--help"])

    usage, _, text = capsys.readouterr().out.partition("\n\n")
    assert [line for line in text.splitlines() if len(line) > widest] == []
    assert [line for line in usage.splitlines() if len(line) > 100] == []


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0."""
    status = main(["--help"])

    out = capsys.readouterr().out
    assert status == 0
    assert [command for command in COMMANDS if not re.search(rf"^    {command}\b", out, re.MULTILINE)] == []


@pytest.mark.parametrize("words", [[], ["chek"], ["check", "--nothing"]])
def test_wrong_usage_has_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The message is on standard error."""
    status = main(words)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert "usage: eem-guardrail" in captured.err
