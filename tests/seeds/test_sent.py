"""What is sent with the inputs of a run: what is read before it, what is only looked at, and what is refused."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from crawler.config.config import Config, ConfigError
from crawler.models import Ask, FileBody, FormBody, Part
from crawler.seeds import sent
from crawler.seeds.sent import ask_of

FORM = "application/x-www-form-urlencoded"


def asked(**options: object) -> Ask | None:
    return ask_of(Config.build(**options))


def file_body(path: Path) -> FileBody:
    found = path.stat()
    return FileBody(str(path), found.st_size, found.st_mtime_ns)


def test_nothing():
    assert asked(headers="Content-Type: a/b", method="POST", referer="http://a.example/") is None


def test_text_and_files(folder: Path):
    (folder / "x").write_bytes(b"1\r\n2")
    assert asked(data=["a=1", "@x", ""]) == Ask(body=b"a=1&1\r\n2&", content_type=FORM)
    assert asked(data="@x") == Ask(body=file_body(folder / "x"), content_type=FORM)
    assert asked(data="@x", headers=("Content-Type: a/b", "X-A: b")) == Ask(
        headers=(("Content-Type", "a/b"),), body=file_body(folder / "x"), content_type=FORM
    )


def test_json_is_read_whole(folder: Path):
    (folder / "q").write_text('{"a": 1}')
    assert asked(json="@q") == Ask(
        headers=(("Accept", "application/json"),), body=b'{"a": 1}', content_type="application/json"
    )
    assert asked(json="1", headers="accept: a/b") == Ask(body=b"1", content_type="application/json")


def test_a_range():
    assert asked(range="0-9") == Ask(headers=(("Range", "bytes=0-9"),))


def test_forms_as_curl_has_them(folder: Path):
    for name in ("a.png", "b;c", 'd"e', "noise"):
        (folder / name).write_bytes(b"x")
    fields = [
        "text=a;b=c",
        "typed={}; type=application/json",
        "empty=",
        "same=1",
        "same=2",
        "image=@a.png",
        'quoted=@"b;c";filename="d\\"e.txt"',
        'odd=@"d\\"e";type=a/b',
        "plain=@noise;type=text/x;filename=y.bin",
        "read=<a.png;type=a/b",
    ]
    assert asked(form=fields) == Ask(
        body=FormBody(
            (
                Part("text", b"a;b=c"),
                Part("typed", b"{}", None, "application/json"),
                Part("empty", b""),
                Part("same", b"1"),
                Part("same", b"2"),
                Part("image", file_body(folder / "a.png"), "a.png", "image/png"),
                Part("quoted", file_body(folder / "b;c"), 'd"e.txt', "text/plain"),
                Part("odd", file_body(folder / 'd"e'), 'd"e', "a/b"),
                Part("plain", file_body(folder / "noise"), "y.bin", "text/x"),
                Part("read", b"x", None, "a/b"),
            )
        )
    )


def test_a_pipe_is_read_once(folder: Path):
    """What it gave can be sent again and again."""
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(b"hello",))
    writer.start()
    assert asked(data="@pipe", headers="Content-Type: a/b") == Ask(
        headers=(("Content-Type", "a/b"),), body=b"hello", content_type=FORM
    )
    writer.join()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "@nowhere"}, "--data: 'nowhere' cannot be read: No such file or directory"),
        ({"data": ["a", "@nowhere"]}, "--data: 'nowhere' cannot be read: No such file or directory"),
        ({"data": "@."}, "--data: '.' cannot be read: Is a directory"),
        ({"data": ["x" * 40, "y" * 40]}, "--data: more than 50 bytes are put together (send them as one file: @FILE)"),
        ({"json": "@bad"}, "--json: 'bad' is not JSON: object keys must be strings (byte 1)"),
        ({"json": "@large"}, "--json: 'large' has more than 50 bytes (send a plain file with --data @FILE)"),
        ({"form": "a=@nowhere;type=x/y"}, "--form: 'nowhere' cannot be read: No such file or directory"),
        ({"form": "a=@bad;typ=x"}, "--form: 'a': ';typ=x' is not ;type=TYPE or ;filename=NAME (quote a path with ;)"),
        ({"form": "a=@bad;type=x"}, "--form: 'a': 'x' is not a content type (text/plain, image/png)"),
        ({"form": "a=@;type=x/y"}, "--form: 'a': no file is named"),
        ({"form": "a=<nowhere"}, "--form: 'nowhere' cannot be read: No such file or directory"),
    ],
)
def test_refused(folder: Path, monkeypatch, options, words):
    """In a sentence with the option and the file, and nothing of what is in it."""
    monkeypatch.setattr(sent, "MOST_HELD", 50)
    (folder / "bad").write_text("{secret}")
    (folder / "large").write_text("1" * 51)
    with pytest.raises(ConfigError) as caught:
        asked(**options)
    assert str(caught.value) == words
