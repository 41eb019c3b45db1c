"""The options that say what is written, where and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from crawler.config.fields import parse_path
from crawler.config.kinds import MIB, TIB, Choice, Flag, Line, Many, Option, Path, Size, shown, suggestion
from crawler.config.options.groups import OUTPUT
from crawler.config.options.input import InputOptions
from crawler.fetch.saving.accept import media_range

Layout = Literal["hash", "name", "url"]
"""What the files of bodies are called by."""


class Fields(Many, frozen=True):
    """Names of the record's fields; the parts of `input` and `error` may be named too (error_code), as in CSV.

    Of what a field holds a part may be named by its path: `data.price`, `data.tags[0]`.
    """

    def read(self, raw: object) -> tuple[object, ...]:
        items = super().read(raw)
        names = tuple(name for item in items for name in self.split(str(item)))
        if items and not names:
            raise ValueError(f"{shown(raw)} names no field")
        fields, parts = known_fields()
        for text in names:
            try:
                name, _ = parse_path(text)
            except ValueError as error:
                raise ValueError(f"{shown(text)} {error}") from None
            if name not in fields and name not in parts:
                hint = suggestion(name, (*fields, *parts)) or f" ({', '.join(fields)})"
                raise ValueError(f"{shown(text)} is not a field of the record{hint}")
        return names


def known_fields() -> tuple[Sequence[str], Sequence[str]]:
    """The fields of a record, and the parts of `input` and `error` as --fields and CSV have them."""
    from crawler.models import ErrorInfo, Input, Record  # only who picks fields waits for this

    of_parts = (("input", Input), ("error", ErrorInfo))
    return Record.__struct_encode_fields__, [
        f"{field}_{part}" for field, of in of_parts for part in of.__struct_fields__
    ]


class MediaRanges(Many, frozen=True):
    """Content types, or ranges of them."""

    def read(self, raw: object) -> tuple[object, ...]:
        items = super().read(raw)
        parts = [part for item in items for part in self.split(str(item))]
        ranges = tuple(media_range(part) for part in parts)
        for part, found in zip(parts, ranges, strict=True):
            if found is None:
                raise ValueError(f"{shown(part)} is not a content type (image/png) or a range of them (image/*)")
        if items and not ranges:
            raise ValueError(f"{shown(raw)} names no content type")
        return ranges


class OutputOptions(InputOptions, frozen=True, kw_only=True):
    """Outputs and what they hold."""

    output: Annotated[
        tuple[str, ...],
        Option(
            Many(Path("a file or -", objects=True)),
            OUTPUT,
            "Write records to a new FILE, in the format of its suffix (.jsonl, .csv, .parquet, .sqlite, .duckdb), "
            "or what went over the wire (.warc.gz); - is standard output; FILE may be s3://bucket/key, gs://, az://",
            ("-o",),
            "FILE",
        ),
    ] = ()
    overwrite_output: Annotated[
        tuple[str, ...],
        Option(Many(Path("a file or -", objects=True)), OUTPUT, "As -o, replacing FILE", ("-O",), "FILE"),
    ] = ()
    fields: Annotated[
        tuple[str, ...],
        Option(
            Fields(Line("the name of a field"), separators=", \t\n"),
            OUTPUT,
            "Write only these fields of the record, in this order: url,status,data.price,data.tags[0],...",
            metavar="NAMES",
        ),
    ] = ()
    items: Annotated[
        str | None,
        Option(
            Path("a file", objects=True),
            OUTPUT,
            "Write what pages gave (--extract, parse functions) to FILE, a row for each item, with its _url",
            metavar="FILE",
        ),
    ] = None
    warc_max_size: Annotated[
        int | None,
        Option(
            Size(MIB, TIB),
            OUTPUT,
            "Begin another numbered file (site-00001.warc.gz) where an archive would become larger than this",
            metavar="SIZE",
        ),
    ] = None
    include_body: Annotated[
        bool,
        Option(Flag(), OUTPUT, "Write the body into the record, as text or base64"),
    ] = False
    bodies: Annotated[
        str | None,
        Option(
            Path("a folder", folder=True, objects=True),
            OUTPUT,
            "Keep each body in a file of DIR, which may be s3://bucket/prefix",
            metavar="DIR",
        ),
    ] = None
    bodies_as: Annotated[
        Layout,
        Option(
            Choice(get_args(Layout)),
            OUTPUT,
            "Name the files of --bodies by their hash, by the name that they have there, or by host and path",
            metavar="hash|name|url",
        ),
    ] = "hash"
    mirror: Annotated[
        str | None,
        Option(
            Path("a folder", folder=True),
            OUTPUT,
            "Copy sites into DIR to be read offline: -r, with what pages are shown with, links rewritten",
            metavar="DIR",
        ),
    ] = None
    accept: Annotated[
        tuple[str, ...],
        Option(
            MediaRanges(Line("a content type"), separators=", \t\n"),
            OUTPUT,
            "Skip answers of other content types before their body is read: image/*,application/pdf",
            metavar="TYPES",
        ),
    ] = ()
    ordered: Annotated[
        bool,
        Option(Flag(), OUTPUT, "Write records in the order of the inputs"),
    ] = False
    no_headers: Annotated[
        bool,
        Option(Flag(), OUTPUT, "Leave the response headers out of the records"),
    ] = False
    csv_raw: Annotated[
        bool,
        Option(Flag(), OUTPUT, "Write CSV cells as they are, even those a spreadsheet would run as formulas"),
    ] = False
    csv_bom: Annotated[
        bool,
        Option(Flag(), OUTPUT, "Begin CSV with a byte order mark, by which Excel knows that it is UTF-8"),
    ] = False
