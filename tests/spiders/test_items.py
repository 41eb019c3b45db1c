"""Items on their way into a record: models, pipelines, and what becomes of what does not fit."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from crawler.errors import WARNINGS, warning_code
from crawler.spiders.items import Items


class Struct(msgspec.Struct):
    text: str
    price: float = 0.0


@dataclasses.dataclass
class Data:
    text: str
    price: float = 0.0


@attrs.define
class Attrs:
    text: str
    price: float = 0.0


class Model(pydantic.BaseModel):
    text: str
    price: float = 0.0


class Author(msgspec.Struct):
    name: str
    born: datetime | None = None


def made(yielded: list[Any], *arguments: Any) -> tuple[list[dict[str, Any]], list[str]]:
    return Items(*arguments)(yielded, "http://a.example/")


@pytest.mark.parametrize("model", [Struct, Data, Attrs, Model])
def test_a_dict_is_held_to_a_model(model: type) -> None:
    """Text becomes the number that is wanted, and what is not given has its default."""
    items, warnings = made([{"text": "a", "price": "1.5"}, {"text": "b"}], model)
    assert items == [{"text": "a", "price": 1.5}, {"text": "b", "price": 0.0}]
    assert warnings == []


@pytest.mark.parametrize("model", [Struct, Data, Attrs, Model])
def test_what_does_not_fit_is_left_out_and_its_field_named(model: type) -> None:
    """The others are kept, and the warning begins with its code."""
    items, warnings = made([{"text": "a"}, {"text": "b", "price": "cheap"}, {"price": 1}, {"text": "c"}], model)
    assert [item["text"] for item in items] == ["a", "c"]
    bad, missing = warnings
    assert bad.startswith(f"item_invalid:item 2: {model.__name__}: price: ")
    assert missing.startswith(f"item_invalid:item 3: {model.__name__}: ")
    assert "text" in missing
    assert {warning_code(warning) for warning in warnings} <= set(WARNINGS)


@pytest.mark.parametrize("model", [Struct, Data, Attrs])
def test_a_key_that_is_no_field(model: type) -> None:
    """It would be lost without a word; pydantic's models say themselves what they do with one."""
    assert made([{"text": "a", "prize": 1}], model) == (
        [], [f"item_invalid:item 1: {model.__name__}: has no field 'prize'"],
    )  # fmt: skip


@pytest.mark.parametrize("model", [Struct, Data, Attrs, Model])
def test_instances_are_items(model: type) -> None:
    """Without a model, too. They are held to their own class, which says nothing when one is made of anything."""
    assert made([model(text="a", price=2)]) == ([{"text": "a", "price": 2.0}], [])
    if model is not Model:
        _, (warning,) = made([model(text=None)])
        assert warning == f"item_invalid:item 1: {model.__name__}: text: Expected str, got null"


def test_several_models() -> None:
    """A dict becomes the first that it fits; an instance is to be one of them."""
    items, warnings = made(
        [{"text": "a"}, {"name": "Laozi"}, {"other": 1}, Author("Seneca"), Data("c")], [Struct, Author]
    )
    assert items == [
        {"text": "a", "price": 0.0}, {"name": "Laozi", "born": None}, {"name": "Seneca", "born": None},
    ]  # fmt: skip
    assert warnings == [
        "item_invalid:item 3: Struct: has no field 'other'; Author: has no field 'other'",
        "item_invalid:item 5: Data is not Struct or Author",
    ]


def test_what_is_inside_becomes_plain_data() -> None:
    born = datetime(1900, 1, 1, tzinfo=UTC)
    assert made([Author("a", born)])[0] == [{"name": "a", "born": "1900-01-01T00:00:00Z"}]


def test_pipelines_change_and_drop() -> None:
    """One after the other; None leaves an item out, without a word."""

    def short(item: dict[str, Any]) -> dict[str, Any] | None:
        return item if len(item["text"]) < 3 else None

    def upper(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "text": item["text"].upper()}

    assert made([{"text": "ab"}, {"text": "abc"}], None, [short, upper]) == ([{"text": "AB"}], [])


def test_pipelines_get_instances_of_the_model() -> None:
    seen: list[Any] = []

    def look(item: Struct) -> Struct:
        seen.append(item)
        item.price *= 2
        return item

    assert made([{"text": "a", "price": "2"}], Struct, [look])[0] == [{"text": "a", "price": 4.0}]
    assert isinstance(seen[0], Struct)


def test_a_pipeline_that_raises_costs_one_item() -> None:
    def divide(item: dict[str, Any]) -> dict[str, Any]:
        return {"n": 1 // item["n"]}

    def number(item: dict[str, Any]) -> Any:
        return 7 if item["n"] > 1 else item

    items, warnings = made([{"n": 1}, {"n": 0}, {"n": 2}], None, [number, divide])
    assert items == [{"n": 1}]
    assert warnings == [
        "pipeline_error:item 2: divide: ZeroDivisionError: integer division or modulo by zero",
        "pipeline_error:item 3: divide: TypeError: 'int' object is not subscriptable",
    ]
    assert made([{"n": 2}], None, [number])[1] == ["pipeline_error:item 1: number: gives int, which is no item (dict)"]


def test_a_thousand_misfits_are_a_few_warnings() -> None:
    """However long their words are."""
    items, warnings = made([{"x" * 1000: 1}] * 1000, Struct)
    assert items == []
    assert len(warnings) == 11
    assert warnings[-1] == "item_invalid:and 990 more items of this page"
    assert max(map(len, warnings)) < 250


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((dict,), "item: dict is no model of items (a msgspec Struct"),
        (([Struct, 7],), "item: int is no model"),
        ((None, len), r"pipelines: len is no list of functions \(write \[len\]\)"),
        ((None, [7]), "pipelines: int is not a function"),
    ],
)
def test_what_is_no_model_and_no_pipeline(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(TypeError, match=words.replace("items (a", r"items \(a")):
        Items(*arguments)


def test_a_pipeline_is_a_plain_function() -> None:
    async def store(item: Any) -> Any:
        return item

    def several(item: Any) -> Any:
        yield item

    for pipeline in (store, several):
        with pytest.raises(TypeError, match=f"pipelines: {pipeline.__name__} is no plain function"):
            Items(None, [pipeline])
