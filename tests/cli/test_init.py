"""`crawler init`: a file with every option, each line of which is good once its # is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.cli.usage.config_file import FIRST, config_file
from crawler.config.config import NAMES, OPTIONS, Config
from crawler.config.sources import combine, from_file

OFF = re.compile(r"#(\w+) = .+")


def written(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_every_line_is_good(tmp_path):
    """Every option is there once; each line by itself is read, and the defaults together change nothing."""
    lines = config_file([*OPTIONS.values()]).splitlines()
    top = lines[: lines.index('#[hosts."example.com"]')]
    off = {match[1]: line[1:] for line in top if (match := OFF.fullmatch(line))}
    names = [*off]
    assert len(names) == sum(bool(OFF.fullmatch(line)) for line in top)
    assert sorted([*names, "hosts"]) == sorted(OPTIONS)
    assert names[: len(FIRST)] == list(FIRST)
    for number, name in enumerate(names):
        path = written(tmp_path / f"{number}.toml", [off[name]])
        combined = combine([from_file(path, OPTIONS)], NAMES)
        if OPTIONS[name].default not in {None, ()}:
            assert combined.values == {name: OPTIONS[name].default}
        assert combined.values[name] is not None
    defaults = [off[name] for name in names if OPTIONS[name].default not in {None, ()}]
    assert Config.from_toml(written(tmp_path / "all.toml", defaults)) == Config.build()
    table = [line[1:] for line in lines[len(top) :]]
    assert [host.pattern for host in Config.from_toml(written(tmp_path / "hosts.toml", table)).hosts] == ["example.com"]


def test_the_file_as_it_is(tmp_path):
    """Nothing is set in it; every line is a comment that fits, with what --help says of the option."""
    text = config_file([*OPTIONS.values()])
    assert Config.from_toml(written(tmp_path / "c.toml", text.splitlines())) == Config.build()
    assert all(len(line) <= 120 and (not line or line[0] == "#") for line in text.splitlines())
    assert "# Fetch at most N URLs of one host at once [8; with -r 2]\n#per_host = 8\n" in text
    assert '#timeout = "60s"\n' in text


def test_init(folder, capsys):
    """It writes crawler.toml and says how it is used; a file that is there is left alone, unless -O names it."""
    assert main(["init"]) == 0
    said = "Wrote crawler.toml. It holds where it is named: crawler --config crawler.toml ...\n"
    assert capsys.readouterr() == ("", said)
    text = (folder / "crawler.toml").read_text()
    (folder / "crawler.toml").write_text("precious")
    assert main(["init"]) == 2
    error = "crawler: error: init: 'crawler.toml' exists already (-O 'crawler.toml' replaces it)\n"
    assert capsys.readouterr() == ("", error)
    assert (folder / "crawler.toml").read_text() == "precious"
    assert main(["init", "-O", "crawler.toml", "-q"]) == 0
    assert main(["init", "-o", "other.toml", "-q"]) == 0
    assert main(["init", "-o", "-"]) == 0
    assert (
        capsys.readouterr().out == text == (folder / "crawler.toml").read_text() == (folder / "other.toml").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.toml"], "INPUT: means nothing to init: -o FILE names the file"),
        (["-c", "8"], "-c: means nothing to init: all options are written with their defaults"),
        (["-o", "a", "-o", "b"], "2 outputs, and there should be one"),
        (["-o", "missing/a.toml"], "cannot write 'missing/a.toml': No such file or directory"),
    ],
)
def test_mistakes(folder, capsys, arguments, words):
    """In one sentence; nothing is written."""
    assert main(["init", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not [*folder.iterdir()]
