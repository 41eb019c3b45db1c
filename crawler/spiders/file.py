"""The spider in a file of Python: its call of crawl(), its class, or a function that calls crawl().

The file is run as `python FILE` runs it, up to that call: it is `__main__`, its folder is where it imports from first,
`sys.argv` has what stands behind its name. So a job that was begun by one goes on with the other.
"""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from crawler.config.kinds import shown, suggestion
from crawler.config.sources import ConfigError
from crawler.spiders.spider import Spider, made
from crawler.spiders.taking import Taken, taken

_MAIN: Final = "__main__"
_OURS: Final = os.path.join(str(Path(__file__).parent.parent), "")  # noqa: PTH118 - with the last separator
_LARGEST: Final = 10 << 20
_running: list[tuple[str, Sequence[str]]] = []


class Found(NamedTuple):
    """The spider of a file, the options that stand there, and all names of the file."""

    spider: Spider
    options: Mapping[str, Any]
    names: Mapping[str, Any]


class FileError(ConfigError):
    """A file that cannot be run. `lines` are those of a traceback, of the file's own part."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = lines


@contextmanager
def spider_in(path: str, words: Sequence[str]) -> Iterator[Found]:
    """Run a file, and find its spider. `words` are the name of one, where there are several, and `name=value`.

    Inside, the file is the main module, as its functions and classes may want. Raises FileError.
    """
    module = ModuleType(_MAIN)
    module.__file__ = path
    code, calls = _compiled(path)
    before = sys.modules.get(_MAIN), sys.argv, sys.path[:]
    sys.modules[_MAIN], sys.argv = module, [path, *words]
    sys.path.insert(0, str(Path(path).resolve().parent))
    _running.append((path, words))
    try:
        yield _found(path, words, module, code, calls)
    finally:
        _running.pop()
        main, sys.argv, sys.path[:] = before
        if main is not None:
            sys.modules[_MAIN] = main


def running() -> tuple[str, Sequence[str]] | None:
    """The file that is the main module now, and its words; None where that is an ordinary program."""
    return _running[-1] if _running else None


def _compiled(path: str) -> tuple[CodeType, list[int]]:
    """The code of a file, and the lines on which it calls crawl() whenever it is run."""
    try:
        with Path(path).open("rb") as file:
            source = file.read(_LARGEST + 1)
        if len(source) > _LARGEST:
            raise FileError(f"{shown(path)}: is larger than programs are: more than {_LARGEST >> 20} MiB")
        tree = ast.parse(source, path)
        return compile(tree, path, "exec", dont_inherit=True), sorted(_calls(tree.body))
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    except SyntaxError as error:
        raise FileError(f"{path}, line {error.lineno}: {error.msg}", _pointed(error)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"{shown(path)}: is no Python: {error}") from None


def _pointed(error: SyntaxError) -> list[str]:
    text = (error.text or "").rstrip()
    return [f"    {text.lstrip()}"] if text else []


def _calls(body: Sequence[ast.stmt]) -> Iterator[int]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(statement, ast.If) and _MAIN not in ast.unparse(statement.test):
            continue  # of its branches one is taken, who knows which
        for field, value in ast.iter_fields(statement):
            if field in {"body", "orelse", "finalbody"} and isinstance(value, list):
                yield from _calls(value)
            else:
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        yield from _called(part)


def _called(part: ast.AST) -> Iterator[int]:
    for node in ast.walk(part):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"crawl", "crawler.crawl"}:
            yield node.lineno


def _found(path: str, words: Sequence[str], module: ModuleType, code: CodeType, calls: Sequence[int]) -> Found:
    names = vars(module)
    name = words[0] if words and "=" not in words[0] else None
    crawl = _run(path, lambda: exec(code, names))  # noqa: S102 - to run that file is what was asked for
    if name is not None and _is_spider(names.get(name)):
        return _named(path, name, _arguments(path, words[1:]), names)
    if isinstance(crawl, Taken):
        if len(calls) > 1:
            lines = " and ".join(map(str, calls))
            words = f"put each into a function, and name one: crawler run {path} FUNCTION"
            raise FileError(f"{path} calls crawl() on lines {lines} ({words})")
        return Found(crawl.spider, crawl.options, names)
    classes = _classes(names)
    if name is not None:
        known = [*classes, *(key for key, value in names.items() if isinstance(value, FunctionType))]
        raise FileError(f"{path} has no spider {shown(name)}{suggestion(name, known) or _list(classes)}")
    if not classes:
        raise FileError(f"{path} has no spider: neither a call of crawl() nor a class of Spider")
    if len(classes) > 1:
        raise FileError(f"{path} has several spiders: name one{_list(classes)}")
    return _named(path, classes[0], _arguments(path, words), names)


def _run(path: str, function: Any, **arguments: Any) -> object:
    """Call what is in the file. Raises FileError for whatever that raises."""
    try:
        return taken(function, **arguments)
    except SystemExit as error:
        words = f": {error.code}" if isinstance(error.code, str) else ""
        raise FileError(f"{path} has ended before it called crawl(){words}") from None
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = f", line {frames[-1].lineno}" if frames else ""
        words = f"{type(error).__name__}: {error}"
        lines = "".join(traceback.format_list(_own(error, path))).splitlines()
        raise FileError(f"{path}{line}: {words}", lines) from None


def _own(error: Exception, path: str) -> list[traceback.FrameSummary]:
    """The frames from the file on, without those of ours in which it ends."""
    frames = list(traceback.extract_tb(error.__traceback__))
    while frames and frames[-1].filename.startswith(_OURS):
        frames.pop()
    first = next((number for number, frame in enumerate(frames) if frame.filename == path), len(frames))
    return frames[first:]


def _named(path: str, name: str, arguments: Mapping[str, str], names: Mapping[str, Any]) -> Found:
    found = names[name]
    if isinstance(found, FunctionType):
        result = _run(path, found, **arguments)
        if isinstance(result, Taken):
            return Found(result.spider, result.options, names)
        raise FileError(f"{path}: {name}() does not call crawl()")
    if isinstance(found, Spider) and arguments:
        raise FileError(f"{path}: {name} is made already: give {', '.join(arguments)} where it is made")
    try:
        spider: Spider = taken(made, found, **arguments)  # type: ignore[assignment]  # as its own code may call it
    except TypeError as error:
        raise FileError(f"{path}: {error}") from None
    return Found(spider, spider.options, names)


def _arguments(path: str, words: Sequence[str]) -> dict[str, str]:
    arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise FileError(f"{path}: {shown(word)} is no argument of a spider (allowed: NAME=VALUE)")
        arguments[name] = value
    return arguments


def _is_spider(value: object) -> bool:
    is_class = isinstance(value, type) and issubclass(value, Spider) and value is not Spider
    return is_class or isinstance(value, (Spider, FunctionType))


def _classes(names: Mapping[str, Any]) -> list[str]:
    """The classes that are made here, and of which no other is made."""
    own = {
        name: value
        for name, value in names.items()
        if isinstance(value, type) and issubclass(value, Spider) and value.__module__ == _MAIN
    }
    above = {base for value in own.values() for base in value.__mro__[1:]}
    return [name for name, value in own.items() if value not in above]


def _list(classes: Sequence[str]) -> str:
    return f" (there are {', '.join(classes)})" if classes else ""
