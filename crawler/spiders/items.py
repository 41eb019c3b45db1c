"""What a parse function yields as items, on its way into the record: held to a model, through pipelines, as plain data.

What does not fit, or what a pipeline fails on, is left out, and the record has a warning that says why. The page and
its other items are kept.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from twisted.logger import Logger

Pipeline = Callable[[Any], Any]
"""Gets an item and gives one, or None: then it is left out."""

_MOST: Final = 10
_LONGEST: Final = 200


class Made(NamedTuple):
    """The items as a record has them, and warnings: codes of errors.WARNINGS, with words behind a colon."""

    items: list[dict[str, Any]]
    warnings: list[str]


class Items:
    """Makes plain data of items.

    `model` is what each is held to, or several of which it is to fit one: a msgspec Struct, a dataclass, a class of
    attrs or a pydantic model. Text is taken for a number and the like where the model wants one. A dict becomes an
    instance, and that is what the `pipelines` get, one after the other. Without a model, they get what was yielded.
    An item that is an instance is held to its own class.

    Raises TypeError for what is no model, and no function.
    """

    def __init__(self, model: Any = None, pipelines: Iterable[Pipeline] = ()) -> None:
        given = () if model is None else tuple(model) if isinstance(model, (list, tuple)) else (model,)
        self._models = tuple(map(_model, given))
        if callable(pipelines) or isinstance(pipelines, (str, Mapping)):
            raise TypeError(f"pipelines: {_name(pipelines)} is no list of functions (write [{_name(pipelines)}])")
        self._pipelines = tuple(pipelines)
        for pipeline in self._pipelines:
            if not callable(pipeline):
                raise TypeError(f"pipelines: {_name(pipeline)} is not a function")
            if inspect.iscoroutinefunction(pipeline) or inspect.isgeneratorfunction(pipeline):
                raise TypeError(f"pipelines: {_name(pipeline)} is no plain function (it returns the item, or None)")
        self._log = Logger()

    def __call__(self, yielded: Sequence[Any], url: str) -> Made:
        """The items of the page at `url`. Never raises for what the user's code does."""
        made = Made([], [])
        wrong = 0
        for number, item in enumerate(yielded, 1):
            if not self._models and not self._pipelines and type(item) is dict:
                made.items.append(item)
                continue
            try:
                plain = self._made(item)
            except _WrongError as error:
                wrong += 1
                if wrong <= _MOST:
                    words = f"item {number}: {error}"
                    made.warnings.append(f"{error.code}:{words[:_LONGEST]}")
                    self._log.warn("{words}: {url}", words=words[:_LONGEST], url=url)
            else:
                if plain is not None:
                    made.items.append(plain)
        if wrong > _MOST:
            made.warnings.append(f"item_invalid:and {wrong - _MOST:,} more items of this page")
        return made

    def _made(self, item: Any) -> dict[str, Any] | None:
        if not isinstance(item, dict):
            fitted = self._held(item)
        elif self._models:
            fitted = self._fitted(item)
        else:
            fitted = item
        for pipeline in self._pipelines:
            try:
                fitted = pipeline(fitted)
            except BaseException as error:  # the user's own: exit(), too, would only leave the run hanging
                self._log.failure("the pipeline {name} failed", name=_name(pipeline))
                raise _WrongError("pipeline_error", f"{_name(pipeline)}: {type(error).__name__}: {error}") from error
            if fitted is None:
                return None
        return _plain(fitted, self._pipelines)

    def _fitted(self, item: dict[str, Any]) -> Any:
        """An instance of the first model that the item fits."""
        faults = []
        for model in self._models:
            try:
                return model.fit(item)
            except BaseException as error:  # ValidationError, and whatever a model's own checks raise
                faults.append(f"{model.name}: {model.words(error)}")
        raise _WrongError("item_invalid", "; ".join(faults))

    def _held(self, item: Any) -> Any:
        """An instance, held to its own class: making one checks nothing but in pydantic."""
        own = type(item)
        if self._models and not any(isinstance(item, model.type) for model in self._models):
            known = " or ".join(model.name for model in self._models)
            raise _WrongError("item_invalid", f"{own.__name__} is not {known}")
        model = _model(own)
        try:
            return model.again(item)
        except BaseException as error:
            raise _WrongError("item_invalid", f"{model.name}: {model.words(error)}") from error


class _WrongError(Exception):
    """Why an item is left out; `code` is one of errors.WARNINGS."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def _plain(item: Any, pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    try:
        plain = item.model_dump(mode="json") if hasattr(item, "model_dump") else _builtins(item)
    except BaseException as error:
        raise _WrongError("item_invalid", f"{type(item).__name__} cannot be written: {error}") from error
    if not isinstance(plain, dict):
        name = _name(pipelines[-1]) if pipelines else "it"
        raise _WrongError("pipeline_error", f"{name}: gives {type(item).__name__}, which is no item (dict)")
    return plain


def _builtins(item: Any) -> Any:
    # What msgspec leaves at the default of a dataclass is no attribute of the instance, and then it does not see it.
    whole = dataclasses.is_dataclass(item) and not isinstance(item, type)
    return msgspec.to_builtins(dataclasses.asdict(item) if whole else item)


class _Native:
    """What msgspec checks: a Struct, a dataclass, a class of attrs."""

    def __init__(self, model: type) -> None:
        self.type = model
        self.name = model.__name__
        if dataclasses.is_dataclass(model):
            self._fields = {field.name for field in dataclasses.fields(model)}
        elif issubclass(model, msgspec.Struct):
            self._fields = {field.encode_name for field in msgspec.structs.fields(model)}
        else:
            self._fields = {field.name for field in model.__attrs_attrs__}  # type: ignore[attr-defined]

    def fit(self, item: Mapping[str, Any]) -> Any:
        unknown = [name for name in item if name not in self._fields]
        if unknown:
            raise ValueError(f"has no field {', '.join(map(repr, unknown))}")
        return msgspec.convert(item, self.type, strict=False)

    def again(self, item: Any) -> Any:
        return msgspec.convert(_builtins(item), self.type, strict=False)

    def words(self, error: BaseException) -> str:
        """`price: Expected float, got str`."""
        if not isinstance(error, msgspec.ValidationError):
            return f"{error}"
        what, _, path = str(error).replace("`", "").partition(" - at ")
        return f"{path.removeprefix('$.')}: {what}" if path else what


class _Pydantic:
    def __init__(self, model: Any) -> None:
        self.type = model
        self.name: str = model.__name__

    def fit(self, item: Mapping[str, Any]) -> Any:
        return self.type.model_validate(item)

    def again(self, item: Any) -> Any:
        return item  # it was checked when it was made

    def words(self, error: BaseException) -> str:
        return "; ".join(_pydantic_words(error)) or f"{type(error).__name__}: {error}"


def _pydantic_words(error: Any) -> Iterator[str]:
    for fault in error.errors() if hasattr(error, "errors") else ():
        yield f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def _model(model: Any) -> _Native | _Pydantic:
    if isinstance(model, type):
        if hasattr(model, "model_validate"):
            return _Pydantic(model)
        if issubclass(model, msgspec.Struct) or dataclasses.is_dataclass(model) or hasattr(model, "__attrs_attrs__"):
            return _Native(model)
    raise TypeError(
        f"item: {_name(model)} is no model of items (a msgspec Struct, a dataclass, or a pydantic model; or a list of "
        "these)"
    )


def _name(value: Any) -> str:
    return getattr(value, "__name__", None) or type(value).__name__
