"""Passwords that people write where they belong and where they do not: in no message, record, log, report or status."""

from __future__ import annotations

import base64
import contextlib
import gc
import pickle
import re
import sys
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from asking_server import Answer, asked
from object_server import KEY as STORE_KEY

from crawler import Request, crawl
from crawler.cli.main import main
from crawler.config.config import OPTIONS, Config, ConfigError
from crawler.config.kinds import Flag, shown
from crawler.errors import CODES
from crawler.objects.bucket import Patience
from crawler.redaction import discreet

ROOT = Path(__file__).resolve().parents[1]
SECRET = "hunter2"
# What somebody may write by mistake, or by right: a password in each.
THINGS = (
    "http://user:hunter2@127.0.0.1:1/x",
    "user:hunter2@127.0.0.1:1/x",
    "http://user:hunter2@h/x.foo",
    "http://user:hunter2@h:99999/",
    "//user:hunter2@h/x.jsonl",
    "ftp://user:hunter2@h/",
    "https://user:hun/hunter2@h.example/x",
    "htp//user:hunter2@h/x",
    " user:hunter2@h.example",
    "socks5://user:hunter2@h:1080",
)
HEADERS = (
    "Authorization Bearer hunter2",
    "Bearer hunter2: x",
    "hunter2",
    "hunter2 ",
    "Authorization\nhunter2",
    "Authorization: a\nhunter2",
    "Cookie session=hunter2",
    "X Y Z hunter2: 1",
)
WITH_VALUES = [option for option in OPTIONS.values() if option.flags and not isinstance(option.kind, Flag)]


def everything(folder: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """All that was said, and all files but those that may hold passwords: inputs, and a job's own."""
    said = "".join(capfd.readouterr())
    for path in folder.rglob("*"):
        place = str(path.relative_to(folder))
        if path.is_file() and not place.startswith("in/") and not (path.parent / "lock").exists():
            said += path.read_text(errors="replace")
    return said


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("option", WITH_VALUES, ids=lambda option: option.name)
def test_in_the_value_of_an_option(folder, capfd, option):
    """Whether it is refused, or the file that it names cannot be had: the message does without."""
    for value in THINGS:
        if value.startswith("/"):  # some options make folders
            continue
        for flag in option.flags:
            arguments = [flag, value] if not flag.startswith("--") else [f"{flag}={value}"]
            main(["http://127.0.0.1:1/", *arguments, "-q", "--retries", "0", "-t", "1"])
        assert SECRET not in everything(folder, capfd), value
    if (
        option.name == "console"
    ):  # Twisted leaves it to the collector to close the socket that cannot be bound to a path
        gc.unfreeze()  # a run keeps what was there before it from the collector
        gc.collect()
        gc.freeze()


@pytest.mark.parametrize("value", HEADERS)
def test_in_a_header_that_is_none(folder, capfd, monkeypatch, value):
    """What is no header is not shown but for its first word, wherever it was written."""
    assert main(["http://127.0.0.1:1/", "-H", value, "-q"]) == 2
    monkeypatch.setenv("CRAWLER_HEADERS", value)
    main(["http://127.0.0.1:1/", "-q", "--retries", "0"])
    monkeypatch.delenv("CRAWLER_HEADERS")
    (folder / "in").mkdir()
    (folder / "in" / "x.toml").write_text(f"headers = [{value!r}]\n".replace("'", '"'))
    main(["http://127.0.0.1:1/", "--config", "in/x.toml", "-q", "--retries", "0"])
    text = everything(folder, capfd)
    assert SECRET not in text
    assert "header" in text


def test_where_no_value_belongs(folder, capfd):
    """Behind a switch, in an option that there is not, in a word that is no command."""
    for arguments in (
        ["-q=hunter2"], ["--quiet=hunter2"], ["-uuser:hunter2"], ["-u", "user:hunter2@h"], ["--user=user:hunter2"],
        ["--proxy-user=hunter2"], ["-khunter2"], ["--job", "x", "--", "user:hunter2@h"],
    ):  # fmt: skip
        main(arguments)
    for command in ("status", "verify", "retry", "report", "attach", "shell"):
        for value in THINGS:
            main([command, value])
    for value in THINGS:
        main(["why", value, value])
        main(["retry", ".", value])
    assert SECRET not in everything(folder, capfd)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_in_the_lines_of_a_list(folder, capfd, log_format):
    """In every kind of input: what comes out has none, and neither has what is said about it."""
    (folder / "in").mkdir()
    things = [thing.replace("h/", "127.0.0.1:1/") for thing in THINGS]
    quoted = [f'"{thing}"' for thing in things]
    files = {
        "list.txt": "\n".join([*things, f"<{things[0]}>", f"'{things[1]}'", f"see {things[0]} there"]),
        "table.csv": "\n".join(["url", *quoted]),
        "lines.jsonl": "\n".join([*quoted, *(f'{{"url": {thing}}}' for thing in quoted)]),
        "map.xml": f"<urlset>{''.join(f'<url><loc>{thing}</loc></url>' for thing in things)}</urlset>",
    }
    for name, text in files.items():
        (folder / "in" / name).write_text(text)
    options = ["--retries", "0", "-t", "2", "-v", "--log-format", log_format, "--no-progress"]
    outputs = [
        "-o",
        "out.jsonl",
        "-o",
        "out.csv",
        "--report",
        "run.html",
        "--stats",
        "stats.json",
        "--bodies",
        "bodies",
    ]
    command = [*(f"in/{name}" for name in files), things[0], *options, *outputs]
    assert main([*command, "--job", "job"]) == 0
    for words in (["status", "job"], ["verify", "job"], ["report", "job", "-O", "job.html"], ["why", "job", things[0]]):
        main(words)
    text = everything(folder, capfd)
    assert SECRET not in text
    assert "127.0.0.1:1/x" in text


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("cannot read 'http://u:pw@h/x'", "cannot read 'http://h/x'"),
        ("u:pw@h/x: no such file", "h/x: no such file"),
        ("both http://u:pw@h/ and //u@h", "both http://h/ and //h"),
        ("https://h.example/@name is fine", "https://h.example/@name is fine"),
        ("ask me@h.example at 10:30", "ask me@h.example at 10:30"),
        ("nothing here", "nothing here"),
    ],
)
def test_words(message, left):
    """A message loses its passwords and nothing else."""
    assert discreet(message) == str(ConfigError(message)) == left


def test_values():
    """As they are quoted, in whatever they stand."""
    assert shown("http://u:pw@h/") == "'http://h/'"
    assert shown(("x", "http://u:pw@h/")) == "('x', 'http://h/')"
    assert re.fullmatch(r"'Authorization \.\.\.' is not .*", str(_refused("Authorization Bearer key")))
    assert CODES


def _refused(header: str) -> Exception:
    with pytest.raises(ConfigError) as caught:
        from crawler.config.config import Config

        Config.build(headers=[header])
    return ConfigError(str(caught.value).partition(": ")[2])


# What is asked with: each secret in every spelling, in everything that a run leaves.

LOGIN, NAMED, TYPED = "joe:s3cret/one", "jim:s3cret two", "jane:s3cret+three"
KEY, TOKEN, COOKIE = "s3cret&four", "s3cret.five", "s3cret.six"
CHALLENGE = (401, {"WWW-Authenticate": 'Digest realm="here", qop="auth", nonce="n"'})


def spellings(secret: str) -> set[bytes]:
    """Plain, as URLs and forms have it, in base64 as a whole and its password alone."""
    password = secret.partition(":")[2] or secret
    texts = {password, quote(password, safe=""), quote_plus(password)}
    texts |= {base64.b64encode(text.encode()).decode().rstrip("=") for text in (secret, password)}
    return {text.encode() for text in texts}


def leaks(folder: Path, said: str = "") -> list[str]:
    """Where a secret stands: in files of whatever sort, but for the inputs, or in what was said."""
    places = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places = {place: content for place, content in places.items() if not place.startswith("in/")}
    places["said"] = said.encode()
    secrets = [spelling for secret in (LOGIN, NAMED, TYPED, KEY, TOKEN, COOKIE) for spelling in spellings(secret)]
    return [place for place, content in places.items() for secret in secrets if secret in content]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("way", ["from elsewhere", "typed"])
def test_of_logins(folder, capfd, monkeypatch, log_format, way):
    """Logins, tokens and headers, of which each was sent: in no output, log, report, database or message."""
    (folder / "in").mkdir()
    for name, secret in {"LOGIN": LOGIN, "NAMED": NAMED, "KEY": KEY, "TOKEN": TOKEN}.items():
        monkeypatch.setenv(f"MY_{name}", secret)
        (folder / "in" / name).write_text(f"{secret}\n")

    def answer(path: str, login: str | None, _: int) -> Answer:
        if path == "/digest" and not (login or "").startswith("Digest"):
            return CHALLENGE
        return (302, {"Location": "/there"}) if path == "/moved" else (503 if path == "/down" else 200, {})

    with asked(answer) as server, asked(answer) as other:
        user, auth, key, token = (
            ("env:MY_LOGIN", "@in/NAMED", "env:MY_KEY", "@in/TOKEN")
            if way == "from elsewhere"
            else (LOGIN, NAMED, KEY, TOKEN)
        )
        urls = [*map(server.url, ("/", "/digest", "/moved", "/down")), other.url("/"), "http://127.0.0.1:1/"]
        common = [
            *urls,
            "--retries",
            "1",
            "-t",
            "5",
            "-v",
            "--log-format",
            log_format,
            "--no-progress",
            "-H",
            f"X-Key: {key}",
        ]
        outputs = [
            "-o",
            "out.jsonl",
            "-o",
            "out.csv",
            "--report",
            "run.html",
            "--stats",
            "stats.json",
            "--bodies",
            "bodies",
        ]
        monkeypatch.setenv("MY_COOKIE", f"session={COOKIE}")
        cookie = "env:MY_COOKIE" if way == "from elsewhere" else f"session={COOKIE}"
        logins = ["-u", user, "--auth", f"{other.url('')}={auth}", "-b", cookie]
        assert main([*common, *outputs, *logins, "--job", "job", "--include-body"]) == 0
        with_login = server.url("/").replace("//", f"//{quote(TYPED, safe=':')}@")
        assert main([*common, with_login, *logins, "--print-config"]) == 0
        assert main([*common, "--bearer", token, "-r", "-O", "more.jsonl", "--no-robots"]) == 0
        for words in (
            ["status", "job"],
            ["verify", "job"],
            ["why", "job", urls[1]],
            ["report", "job", "-O", "job.html"],
        ):
            assert main(words) == 0
        assert f"session={COOKIE}" in server.cookies
        sent = [login or "" for _, login in (*server.requests, *other.requests)]
    for login in (f"Basic {base64.b64encode(LOGIN.encode()).decode()}", f"Bearer {TOKEN}"):
        assert login in sent
    assert f"Basic {base64.b64encode(NAMED.encode()).decode()}" in sent
    assert any(login.startswith("Digest") for login in sent)
    said = "".join(capfd.readouterr())
    assert leaks(folder, said) == []
    assert "://***@" in said  # of the URL, which is typed both times
    assert ("***" in said.replace("://***@", "")) is (way == "typed")
    assert ("given stands in the list of processes" in said) is (way == "typed")


def test_a_job_asks_for_its_secrets_again(folder, capfd, monkeypatch):
    """A run that goes on has them from where they are; what is missing is told, and what was typed is not known."""
    with asked(lambda *_: (200, {})) as server:
        command = [server.url("/"), "--job", "job", "-o", "out.jsonl"]
        monkeypatch.setenv("MY_LOGIN", LOGIN)
        assert main([*command, "-u", "env:MY_LOGIN", "--bearer", TOKEN]) == 2
        assert main([*command, "-u", "env:MY_LOGIN"]) == 0
        monkeypatch.setenv("MY_LOGIN", NAMED)
        assert main([*command, "-u", "env:MY_LOGIN"]) == 0
        capfd.readouterr()
        assert main(command) == 0
        assert "--user was given in the run before and is not now: a job keeps no secrets" in capfd.readouterr().err
        monkeypatch.delenv("MY_LOGIN")
        assert main([*command, "-u", "env:MY_LOGIN"]) == 2
        assert "-u: env:MY_LOGIN: there is no such variable in the environment" in capfd.readouterr().err
        assert main(["status", "job"]) == 0  # which needs none
    assert leaks(folder) == []


def test_what_cannot_be_had(folder, capfd, monkeypatch):
    """One sentence with the place, what was given if that is no secret, and what would be right."""
    (folder / "in").mkdir()
    (folder / "in" / "empty").write_text("\n")
    (folder / "in" / "lines").write_text("hunter2\nhunter2\n")
    (folder / "in" / "binary").write_bytes(b"hunter2\xff")
    (folder / "in" / "large").write_bytes(b"hunter2" * 10_000)
    monkeypatch.setenv("EMPTY", "")
    for given, words in {
        "env:NOT_THERE": "env:NOT_THERE: there is no such variable",
        "env:EMPTY": "env:EMPTY: the variable is empty",
        "@in/none": "@in/none: cannot be read: No such file or directory",
        "@in": "@in: cannot be read: Is a directory",
        "@in/empty": "@in/empty: is empty",
        "@in/lines": "@in/lines: has more than one line",
        "@in/binary": "@in/binary: is not UTF-8",
        "@in/large": "@in/large: is larger",
        "hunter2": "what was given has no password",
        "hunter2:\n": "what was given has more than one line",
        "": "what was given is not USER:PASSWORD",
        "***": "*** is shown in place of a secret",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr("crawler.cli.answers._has_terminal", lambda: False)
            assert main(["http://127.0.0.1:1/", "-u", given]) == 2
        error = capfd.readouterr().err
        assert error.startswith(f"crawler: error: -u: {words}")
        assert SECRET not in error
    for given in (
        "hunter2",
        "joe:hunter2",
        "https://joe:hunter2@h.example/=a:b",
        "https://h.example/hunter2=",
        "hunter2=x:y",
    ):
        assert main(["http://127.0.0.1:1/", "--auth", given]) == 2
        assert SECRET not in capfd.readouterr().err.replace("/hunter2'", "")


def test_in_archives(folder):
    """Requests are archived without what lets their bearer in, and a login before the run not at all."""
    with asked(lambda path, *_: (200, {"Set-Cookie": "session=a"} if path == "/login" else {})) as server:
        list(
            crawl(
                [server.url("/")],
                output=["site.warc"],
                headers={"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "X-Plain": "seen"},
                cookie=["id=hunter2"],
                login=Request(server.url("/login"), form={"password": "hunter2"}),
                delay=0,
            )
        )
        assert server.requests == [
            ("/login", "Bearer hunter2"),
            ("/robots.txt", "Bearer hunter2"),
            ("/", "Bearer hunter2"),
        ]
        assert server.bodies == [b"password=hunter2"]
    text = (folder / "site.warc").read_text()
    assert SECRET not in text
    for line in ("Authorization: ***", "X-Api-Key: ***", "Cookie: ***", "X-Plain: seen", "GET / HTTP/1.1"):
        assert line in text
    assert "/login" not in text


def test_in_python(monkeypatch):
    """Neither a Config nor a traceback with all its variables shows one, and none is pickled."""
    from crawler.config.config import Config

    config = Config.build(
        user=LOGIN, auth=f"http://a.example={NAMED}", headers={"X-Api-Key": KEY}, hosts={"b.example": {"auth": TYPED}}
    )
    try:
        assert config.user is not None
        raise RuntimeError(config)  # noqa: TRY301 - with all that is known here
    except RuntimeError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    text = "".join(lines) + repr(config) + str(config) + f"{config.hosts}{config.user!r}{config.auth}"
    assert all(spelling.decode() not in text for secret in (LOGIN, NAMED, KEY, TYPED) for spelling in spellings(secret))
    with pytest.raises(TypeError, match="env:NAME"):
        pickle.dumps(config.user)
    monkeypatch.setenv("MY_LOGIN", LOGIN)
    again = pickle.loads(pickle.dumps(Config.build(user="env:MY_LOGIN").user))
    assert again.reveal() == LOGIN


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_a_password_is_asked_for(folder):
    """A user alone: on the terminal, whatever standard input is, and without an echo; as curl does."""
    from screens import Emulator

    program = """
import os, sys
os.open(os.ttyname(2), os.O_RDWR)  # so it becomes the terminal of this session
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)
from crawler.__main__ import main
sys.exit(main())
"""
    with asked(lambda *_: (200, {})) as server:
        command = [sys.executable, "-c", program, server.url("/"), "-q", "-u", "joe"]
        with contextlib.closing(Emulator(command, PYTHONPATH=str(ROOT))) as person:
            person.wait_until(lambda lines: "password for -u 'joe'" in lines[0])
            person.type("s3cret/one\n")
            assert person.process.wait(20) == 0
        assert server.requests == [("/", f"Basic {base64.b64encode(LOGIN.encode()).decode()}")]
    assert b"password" in person.written
    assert b"s3cret" not in person.written


@pytest.mark.parametrize("fault", ["", "503", "denied"])
def test_of_stores(folder, capfd, objects, monkeypatch, fault):
    """What signs requests to a store: not in messages, whatever it answers, nor in records, nor in a job."""
    token = "hunter2/session+token"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2/secret+key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    monkeypatch.setattr("crawler.objects.bucket.PATIENCE", Patience(0, 5.0, 5.0))
    bucket = objects.bucket()
    echo = f"<Error><Code>AccessDenied</Code><Message>{token} may not</Message></Error>".encode()
    monkeypatch.setattr("object_server.DENIED", echo)
    objects.faults = lambda method, path: fault if method == "PUT" else None
    command = ["http://127.0.0.1:1/", "--retries", "0", "--job", "job", "-o", f"s3://{bucket}/a.jsonl", "-v"]
    assert main([*command, "--bodies", f"s3://{bucket}/kept"]) == (5 if fault else 0)
    with contextlib.suppress(ConfigError):
        Config.build(output=[f"s3://key:hunter2@{bucket}/x"])
    main(["http://127.0.0.1:1/", "-o", f"s3://key:hunter2@{bucket}/x.jsonl"])
    main(["status", "job"])
    main(["verify", "job"])
    said = "".join(capfd.readouterr())
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert SECRET not in said
    assert SECRET.encode() not in kept
    assert STORE_KEY.encode() not in kept
    if fault:
        assert {"503": "503 Service Unavailable", "denied": "403 Forbidden (AccessDenied)"}[fault] in said
