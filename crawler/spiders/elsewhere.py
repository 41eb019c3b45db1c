"""Parse functions that other processes may call: found again there by name, and without anything that they share.

A function that remembers something, or tells it its program, has to be called in the process of the program: a list
that it fills would stay empty there. So is every one of which that cannot be ruled out.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from importlib import import_module
from pathlib import PurePath
from re import Pattern
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Final

from crawler.page.callbacks import Callbacks, Named, Parse, is_async
from crawler.spiders.file import running, spider_in

_MAIN: Final = "__main__"
_FIXED: Final = (
    str,
    int,
    float,
    complex,
    bytes,
    bool,
    type(None),
    date,
    time,
    timedelta,
    Decimal,
    Enum,
    PurePath,
    Pattern,
)
_SHARED: Final = (list, dict, set, bytearray)
_WRITES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})


def named(functions: Sequence[Parse]) -> Named:
    """For other processes. Raises ValueError, with a reason, where one has to stay in this one."""
    for function in functions:
        reason = why_here(function)
        if reason is not None:
            raise ValueError(f"{getattr(function, '__qualname__', type(function).__qualname__)} {reason}")
    names = [f"{function.__module__}:{function.__qualname__}" for function in functions]
    file = running() if any(name.startswith(f"{_MAIN}:") for name in names) else None
    return Named(names, [*sys.path], *((file[0], [*file[1]]) if file else ()))


def imported(wanted: Named, resources: ExitStack) -> Callbacks:
    """Those functions, in another process. Raises what importing them does, and LookupError."""
    sys.path[:] = wanted.path
    if wanted.file is not None:
        resources.enter_context(spider_in(wanted.file, wanted.words))
    found = []
    for name in wanted.names:
        module, _, function = name.partition(":")
        value = getattr(sys.modules[_MAIN] if module == _MAIN else import_module(module), function, None)
        if not isinstance(value, FunctionType):
            raise LookupError(f"{name} is no function here")  # noqa: TRY004 - it is not there
        found.append(value)
    return Callbacks(found, kept=True)


def why_here(function: Parse) -> str | None:
    """Why a function has to be called in the process of its program; None where any will do that imports it."""
    if not isinstance(function, FunctionType):
        return "is no plain function of a module"
    name, home = function.__qualname__, function.__module__
    if function.__closure__ or not name.isidentifier():
        return "is no plain function of a module"
    if home == _MAIN and running() is None:
        return "is in the program itself (in a module of its own other processes would find it)"
    if getattr(sys.modules.get(home), name, None) is not function:
        return f"is not what {home} has under its name"
    if is_async(function):
        return "is async def"
    shared = next(_shared(function, set()), None)
    return None if shared is None else f"uses what its program may share with it ({shared})"


def _shared(function: FunctionType, seen: set[FunctionType]) -> Iterator[str]:
    """The names of what calls of a function may share, as far as that is in its module."""
    seen.add(function)
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    if not all(map(_is_fixed, given)) or set(vars(function)) - {"__wrapped__"}:
        yield f"what {function.__name__} keeps"
    names = function.__globals__
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in _WRITES:
                yield str(step.argval)
            elif step.opname in {"LOAD_GLOBAL", "LOAD_NAME"} and step.argval in names:
                value = names[step.argval]
                if isinstance(value, FunctionType):
                    if value.__module__ == function.__module__ and value not in seen:
                        yield from [step.argval] if value.__closure__ else _shared(value, seen)
                elif isinstance(value, type):
                    if value.__module__ == function.__module__ and any(isinstance(v, _SHARED) for v in _own(value)):
                        yield step.argval
                elif not isinstance(value, (ModuleType, BuiltinFunctionType)) and not _is_fixed(value):
                    yield step.argval


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _own(kind: type) -> Iterator[object]:
    """What a class has that its author wrote."""
    return (value for name, value in vars(kind).items() if not name.startswith("__"))


def _is_fixed(value: object) -> bool:
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_fixed, value))
    return isinstance(value, _FIXED)
