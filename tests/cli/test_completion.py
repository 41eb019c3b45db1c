"""Completion scripts: each shell accepts its own, and bash's completes as it should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from crawler.cli.commands.table import COMMANDS
from crawler.cli.usage.completion import SHELLS, script
from crawler.cli.usage.flags import FLAGS, QUESTIONS

ABOUT = {name: command.help for name, command in COMMANDS.items()}
BASH = shutil.which("bash")


def test_shells() -> None:
    """--completion offers the shells for which there is a script."""
    (kind,) = (option.kind for option in QUESTIONS if option.name == "completion")
    assert kind.expected == f"one of {', '.join(SHELLS)}"


@pytest.mark.parametrize("shell", SHELLS)
def test_is_valid(tmp_path: Path, shell: str) -> None:
    """The shell itself finds no fault in the syntax."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell, FLAGS, ABOUT))
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_knows_every_flag(shell: str) -> None:
    """A script comes from the same table as --help."""
    text = script(shell, FLAGS, ABOUT)
    for option in FLAGS:
        for flag in (*option.flags, *option.opposites):
            written = flag if shell != "fish" else f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} "
            assert written in text


@pytest.mark.parametrize("shell", SHELLS)
def test_quotes_help(shell: str) -> None:
    """No help text can leave its quotes."""
    hostile = QUESTIONS[1]._replace(help='it\'s $(touch x) `y` [z]: \\ "q"')
    text = script(shell, [hostile], {"demo": hostile.help})
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=text, text=True, capture_output=True).stderr == ""
    if shell != "bash":  # bash shows no help
        assert "$(touch x)" in text


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--conc"], ["--concurrency"]),
        (["--no-o"], ["--no-ordered"]),
        (["de"], ["demo"]),
        (["urls.txt", "de"], []),
        (["-X", ""], ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"]),
        (["--completion", "z"], ["zsh"]),
        (["a"], ["a *.txt", "again", "attach"]),
        (["-o", ""], ["a *.txt", "folder"]),
        (["--bodies", ""], ["folder"]),
        (["-c", ""], []),
    ],
)
def test_bash(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    """bash completes flags, choices, files, folders, and the command where it may stand."""
    (tmp_path / "a *.txt").touch()
    (tmp_path / "folder").mkdir()
    line = " ".join(f"'{word}'" for word in ["crawler", *words])
    code = f"""{script("bash", FLAGS, ABOUT)}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; _crawler
for word in "${{COMPREPLY[@]}}"; do echo "$word"; done"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert sorted(done.stdout.splitlines()) == expected
    assert done.stderr == ""
