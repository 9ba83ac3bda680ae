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
    assert f"eem-guardrail {command}" in examples
    assert "exit status" in examples
    assert set(re.findall(r" (--[a-z-]+)", examples)) <= set(re.findall(r"(--[a-z-]+)", usage))


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0."""
    status = main(["--help"])

    out = capsys.readouterr().out
    assert status == 0
    assert [command for command in COMMANDS if f"\n    {command} " not in out] == []


@pytest.mark.parametrize("words", [[], ["chek"], ["check", "--nothing"]])
def test_wrong_usage_has_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The message is on standard error."""
    status = main(words)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert "usage: eem-guardrail" in captured.err
