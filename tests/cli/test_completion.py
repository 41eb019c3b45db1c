"""Completion scripts: each shell accepts its own, and bash's completes as it should."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import SERVERS, missing
from screens import Emulator

from crawler.cli.commands.table import COMMANDS
from crawler.cli.usage.completion import SHELLS, script
from crawler.cli.usage.flags import FLAGS, QUESTIONS

ABOUT = {name: (command.help, command.arguments) for name, command in COMMANDS.items()}
BASH = shutil.which("bash")


def require(shell: str) -> None:
    if not shutil.which(shell):
        missing(f"{shell} is not installed", SERVERS)


def test_shells() -> None:
    """--completion offers the shells for which there is a script."""
    (kind,) = (option.kind for option in QUESTIONS if option.name == "completion")
    assert kind.expected == f"one of {', '.join(SHELLS)}"


@pytest.mark.parametrize("shell", SHELLS)
def test_is_valid(tmp_path: Path, shell: str) -> None:
    """The shell itself finds no fault in the syntax."""
    require(shell)
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
    text = script(shell, [hostile], {"demo": (hostile.help, "")})
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
        (["--scope", "do"], ["domain"]),
        (["--links", "a,area,i"], ["a,area,iframe", "a,area,images", "a,area,img"]),
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


@pytest.fixture
def jobs(folder: Path) -> Path:
    """A folder with two jobs, one of which lies in another folder, and a folder that holds none."""
    for job in ("site one", "old/crawl"):
        (folder / job).mkdir(parents=True)
        (folder / job / "frontier.sqlite").touch()
    (folder / "sources").mkdir()
    (folder / "sitemap.xml").touch()
    return folder


def of_bash(words: list[str]) -> list[str]:
    line = " ".join(f"'{word}'" for word in ["crawler", *words])
    code = f"""{script("bash", FLAGS, ABOUT)}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; _crawler
for word in "${{COMPREPLY[@]}}"; do echo "$word"; done"""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def of_fish(words: list[str]) -> list[str]:
    typed = " ".join(["crawler", *words])
    code = f"{script('fish', FLAGS, ABOUT)}\ncomplete -C '{typed}'"
    done = subprocess.run(["fish", "--no-config", "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    offered = [line.split("\t")[0].rstrip("/").replace("\\ ", " ") for line in done.stdout.splitlines()]
    return [word for word in offered if word.startswith(words[-1])]  # fish offers what is like it, too


ASKED = [
    (["--fields", "stat"], {"status"}),
    (["--fields", "url,status,ti"], {f"url,status,ti{rest}" for rest in ("tle", "me_queue", "me_namelookup", "me_connect", "me_appconnect", "me_starttransfer", "me_total")}),
    (["--fields", "url,stat,u"], set()),
    (["--links", "area,a"], {"area,a", "area,audio"}),
    (["--scope", "or"], {"origin"}),
    (["status", ""], {"site one"}),
    (["verify", "old/"], {"old/crawl"}),
    (["again", "so"], {"sources"}),
    (["retry", "old/crawl", "timeout_to"], {"timeout_total"}),
    (["help", "polit"], {"politeness"}),
    (["help", "ver"], {"verify", "version"}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), ASKED)
@pytest.mark.parametrize("shell", [of_bash, of_fish])
def test_values_and_jobs(
    jobs: Path, shell: Callable[[list[str]], list[str]], words: list[str], expected: set[str]
) -> None:
    """Fields and kinds of links after a comma, too, none twice; folders that hold a job, else those on the way to one."""
    require(shell.__name__.removeprefix("of_"))
    assert set(shell(words)) == expected


def test_bash_with_an_equals_sign() -> None:
    """bash divides --fields=st into three words."""
    require("bash")
    assert of_bash(["--fields", "=", "url,stat"]) == ["url,status"]
    assert of_bash(["--scope", "="]) == ["host", "origin", "domain", "prefix", "any"]


def test_zsh(jobs: Path) -> None:
    """zsh itself, on a terminal: what Tab makes of a line."""
    require("zsh")
    (jobs / "script").write_text(script("zsh", FLAGS, ABOUT))
    person = Emulator(["zsh", "-f", "-i"], columns=120, PS1="$ ")
    try:
        person.type("autoload -Uz compinit; compinit -D -u; source ./script; setopt nolistbeep; print rea''dy\n")
        person.wait_until(lambda lines: lines[-2:] == ["ready", "$"])
        for typed, seen in (
            ("--fields stat", "--fields status"),
            ("--fields=url,stat", "--fields=url,status"),
            ("--fields url,status,titl", "--fields url,status,title"),
            ("--links area,a,ifr", "--links area,a,iframe"),
            ("--scope or", "--scope origin"),
            ("status si", "status site\\ one"),
            ("verify old/", "verify old/crawl"),
            ("again so", "again sources"),
            ("retry old/crawl timeout_to", "retry old/crawl timeout_total"),
            ("help polit", "help politeness"),
        ):
            person.type(f"crawler {typed}\t")
            person.wait_until(lambda lines, seen=seen: lines[-1].rstrip("/, ") == f"$ crawler {seen}")
            person.type("\x15")
            person.wait_until(lambda lines: lines[-1] == "$")
        person.type("crawler --links a,ar\t,ar\t")  # what is there already is not offered
        person.wait_until(lambda lines: lines[-1] == "$ crawler --links a,area,ar")
    finally:
        person.close()
