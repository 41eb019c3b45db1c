"""The options that say what is written, where and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, get_args

import msgspec

from crawler.config.fields import FIELDS, PARTS, parse_path, parse_template
from crawler.config.kinds import MIB, TIB, Choice, Flag, Line, Many, Option, Path, Size, shown, suggestion
from crawler.config.options.groups import OUTPUT
from crawler.config.options.input import InputOptions
from crawler.config.sources import ConfigError
from crawler.fetch.saving.accept import media_range

TEXT: Final = ".txt"
"""The suffix of outputs that --template writes."""

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
        for text in names:
            _check_field(text)
        return names


def _check_field(text: str) -> None:
    """Raise ValueError for what no record can have."""
    try:
        name, _ = parse_path(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} {error}") from None
    if name not in FIELDS and name not in PARTS:
        hint = suggestion(name, (*FIELDS, *PARTS)) or f" ({', '.join(FIELDS)})"
        raise ValueError(f"{shown(text)} is not a field of the record{hint}")


def _check_format(field: str, spec: str) -> None:
    """Raise ValueError where values of the field cannot be formatted so. What is inside a field may be anything."""
    from crawler.models import ErrorInfo, Input, Record

    if spec.endswith("c"):  # a number as a character: a server would choose what acts on a terminal
        raise ValueError(f"has {{{field}:{spec}}}: no value is a character ({{{field}:{spec[:-1]}d}} for a number)")
    known = {of.encode_name: of.type for of in msgspec.structs.fields(Record)}
    for name, struct in (("input", Input), ("error", ErrorInfo)):
        known |= {f"{name}_{of.encode_name}": of.type for of in msgspec.structs.fields(struct)}
    kinds = get_args(known[field]) or (known[field],) if field in known else (int, float, str)
    samples: list[object] = [kind() for kind in (int, float) if kind in kinds] or [""]
    if field not in known:
        samples.append("")
    said: ValueError | None = None
    for sample in samples:
        try:
            format(sample, spec)
        except ValueError as error:
            said = error
        else:
            return
    raise ValueError(f"has {{{field}:{spec}}}: {said}")


class Template(msgspec.Struct, frozen=True):
    """A text with names of fields in braces."""

    takes: ClassVar[str] = "str"
    expected: str = "a text with fields in braces ('{status} {url}')"

    def read(self, raw: object) -> str:
        if not isinstance(raw, str) or not raw:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        try:
            fields = [(piece.field, piece.spec) for piece in parse_template(raw) if piece.field is not None]
        except ValueError as error:
            raise ValueError(f"{shown(raw)} {error}") from None
        if not fields:
            raise ValueError(f"{shown(raw)} has no field in it: it is not {self.expected}")
        for field, spec in fields:
            _check_field(field)
            _check_format(field, spec)
        return raw

    @staticmethod
    def show(value: object) -> str:
        return str(value)


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
            Many(Path("a file or -", objects=True, prefixes=True)),
            OUTPUT,
            "Write records to a new FILE, in the format of its suffix (.jsonl, .csv, .parquet, .sqlite, .duckdb), "
            "or what went over the wire (.warc.gz); - is standard output; FILE may be s3://bucket/key, gs://, az://",
            ("-o",),
            "FILE",
        ),
    ] = ()
    overwrite_output: Annotated[
        tuple[str, ...],
        Option(
            Many(Path("a file or -", objects=True, prefixes=True)), OUTPUT, "As -o, replacing FILE", ("-O",), "FILE"
        ),
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
    template: Annotated[
        str | None,
        Option(
            Template(),
            OUTPUT,
            "Write of each record a line like this, to standard output and .txt: '{status:>3} {url} {data.price}'",
            metavar="TEXT",
        ),
    ] = None
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


def check_template(config: OutputOptions, origins: Mapping[str, str], job: str | None) -> None:
    """Raise ConfigError where no output takes the template, or one wants it that is not there."""
    texts = [
        (name, path)
        for name in ("output", "overwrite_output")
        for path in getattr(config, name)
        if path.lower().removesuffix(".gz").endswith(TEXT)
    ]
    for name, path in texts:
        if config.template is None:
            raise ConfigError(
                f"{origins[name]}: {shown(path)} holds lines of text: add --template '{{status}} {{url}}'"
            )
        if job is not None:
            why = "a job checks its outputs, which lines of text cannot be (name a .jsonl or .csv)"
            raise ConfigError(f"{origins[name]}: {shown(path)} cannot be combined with {origins['job']}: {why}")
    outputs = (*config.output, *config.overwrite_output)
    typed = origins.get("template", "").startswith(("-", "keyword "))  # a file may have what is for other runs
    if config.template is not None and typed and outputs and not texts and "-" not in outputs:
        raise ConfigError(f"{origins['template']}: no output takes it (name a .txt with -o, or leave out -o)")
