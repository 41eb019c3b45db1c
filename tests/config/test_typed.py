"""crawler/config/typed.py: what an editor knows of the options is what the tables that read them say."""

from __future__ import annotations

import runpy
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from typed_options import TYPED, typed_options

from crawler.config.config import NAMES, Config
from crawler.config.hosts import KEYS
from crawler.config.kinds import Flag, Many, Whole
from crawler.config.options.politeness import Processes
from crawler.config.sources import ConfigError, read
from crawler.config.typed import HostKeys, Options

ROOT = Path(__file__).parents[2]
HINTS = get_type_hints(Options)
VALUES = [
    *(None, True, 0, 1, 5, 5.5, float("nan"), 10**30, "", "5", "yes", "0", "text", b"bytes", bytearray(b"x"), Path("x")),
    *([], ["x"], ["5"], [5], [None], [True], [b"x"], [Path("x")], [["a", "b"]], [["a"]], [("a", "b")], [("a", 5)]),
    *((), ("a",), ("a", "b"), ("a", 5), ("a", "b", "c"), {"x"}, {5}, frozenset(), range(3), [{"a": "b"}]),
    *({}, {"a": "b"}, {"a": 5}, {"a": ["b"]}, {5: 5}, {"a": {"delay": 1}}, {"a": {"dely": 1}}, {"a": {"delay": None}}),
    *(object(), Path, len),
]  # fmt: skip


def alternatives(type_: Any) -> tuple[Any, ...]:
    return get_args(type_) if get_origin(type_) in {Union, types.UnionType} else (type_,)


def fits(value: object, type_: Any) -> bool:
    """Whether a type checker takes the value where the type is wanted."""
    origin, of = get_origin(type_), get_args(type_)
    if type_ in {Any, object}:
        return True
    if origin in {Union, types.UnionType}:
        return any(fits(value, alternative) for alternative in of)
    if origin is Literal:
        return isinstance(value, str) and value in of
    if is_typeddict(type_):
        hints = get_type_hints(type_)
        return isinstance(value, dict) and all(key in hints and fits(value[key], hints[key]) for key in value)
    if origin is tuple and of[1:] != (...,):
        return isinstance(value, tuple) and len(value) == len(of) and all(map(fits, value, of))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(k, of[0]) and fits(v, of[1]) for k, v in value.items())
    if origin in {Iterable, list, tuple}:
        return isinstance(value, origin) and all(fits(item, of[0]) for item in value)
    return isinstance(value, (int, float) if type_ is float else origin or type_)


def kind_of(name: str) -> str:
    """What kind of value an option has; of a list, of what it is one."""
    kind = NAMES[name].kind
    item = f" of {type(kind.item).__name__}" if isinstance(kind, Many) else ""
    return f"{type(kind).__name__}{item}"


def test_it_is_what_the_tables_say() -> None:
    """`python -m tests.test_docs` writes it."""
    assert TYPED.read_text(encoding="utf-8") == typed_options()


def test_every_option_is_there_and_none_has_to_be_given() -> None:
    """Those of a run, and the keys of a table of one host."""
    assert Options.__optional_keys__ == set(NAMES)
    assert HostKeys.__optional_keys__ == set(KEYS)
    assert Options.__required_keys__ == HostKeys.__required_keys__ == frozenset()


def written(folder: Path) -> dict[str, Any]:
    """The forms that type checkers read, with the files that they name."""
    for name, content in (("text.txt", "a=1"), ("crawler.toml", "concurrency = 4")):
        (folder / name).write_text(content)
    return runpy.run_path(str(ROOT / "tests" / "typing" / "option_forms.py"))


def test_every_form_that_is_documented_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And there is one of each kind of value, in each of its forms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGIN", "joe:secret")
    forms: list[Options] = written(tmp_path)["FORMS"]
    seen: dict[str, list[object]] = {}
    for form in forms:
        assert isinstance(Config.build(**form), Config)
        for name, value in form.items():
            seen.setdefault(kind_of(name), []).append(value)
    assert set(map(kind_of, NAMES)) == set(seen)
    for name, option in NAMES.items():
        for alternative in alternatives(HINTS[name]):
            if alternative is type(None):  # "not set" may be said
                assert read(option, None, name) is None
            elif get_origin(alternative) is Literal:
                assert [read(option, word, name) for word in get_args(alternative)] == list(get_args(alternative))
            else:
                assert any(fits(value, alternative) for value in seen[kind_of(name)]), (name, alternative)


def test_what_the_types_forbid_is_refused_when_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for form in written(tmp_path)["FORBIDDEN"]:
        with pytest.raises(ConfigError):
            Config.build(**form)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_does_not_fit_the_type_is_refused(name: str) -> None:
    """Values of many types, at every option. Numbers and switches as text, which the environment needs, are read."""
    kind = NAMES[name].kind
    for value in VALUES:
        if fits(value, HINTS[name]) or (isinstance(kind, (Whole, Processes)) and value in ("0", "5")):
            continue
        if isinstance(kind, Flag) and (value in {"yes", "0"} if isinstance(value, str) else type(value) is int):
            continue
        with pytest.raises(ConfigError):
            read(NAMES[name], value, name)
