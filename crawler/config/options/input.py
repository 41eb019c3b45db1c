"""The options that say what is read, and how."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, get_args

from crawler.config.kinds import Choice, Flag, Line, Many, Option, Path, Whole, shown
from crawler.config.options.crawl import CrawlOptions
from crawler.config.options.groups import INPUT, SHARDS

DefaultScheme = Literal["https", "http", "none"]
Engine = Literal["local", "ray", "dask", "spark"]
AUTO: Final = "auto"


class ShardNumber(Line, frozen=True):
    """The number of a shard, or `auto`."""

    takes: ClassVar[str] = "int | str"
    expected: str = "the number of a shard, from 0 on, or auto"

    def read(self, raw: object) -> str:
        text = super().read(str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw)
        if text != AUTO and not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class InputOptions(CrawlOptions, frozen=True, kw_only=True):
    """Inputs, and what makes seeds of them."""

    inputs: Annotated[
        tuple[str, ...],
        Option(
            Many(Path("a file, a URL or -", urls=True)),
            INPUT,
            "Files of URLs (also s3://bucket/key), URLs, or - for standard input",
            (),
            "INPUT",
        ),
    ] = ()
    column: Annotated[
        str | None,
        Option(Line(), INPUT, "Take URLs from this column of CSV, or key of JSON Lines", metavar="NAME"),
    ] = None
    keep_columns: Annotated[
        bool,
        Option(Flag(), INPUT, "Keep the other columns of CSV, or keys of JSON Lines: in meta, and as columns of CSV"),
    ] = False
    default_scheme: Annotated[
        DefaultScheme,
        Option(
            Choice(get_args(DefaultScheme)),
            INPUT,
            "What to put before lines that are plainly hosts, such as www.example.com/a",
            metavar="SCHEME",
        ),
    ] = "https"
    shards: Annotated[
        int,
        Option(Whole(1, 99_999), SHARDS, "Cut the inputs of `crawler split` into N shards", metavar="N"),
    ] = 256
    shard: Annotated[
        str | None,
        Option(
            ShardNumber(),
            SHARDS,
            "Do shard N; auto is the number that Slurm, Kubernetes or AWS Batch gives",
            metavar="N|auto",
        ),
    ] = None
    engine: Annotated[
        Engine | None,
        Option(
            Choice(get_args(Engine)),
            SHARDS,
            "Do all shards, in processes of this machine (local) or of a cluster",
            metavar="NAME",
        ),
    ] = None
    address: Annotated[
        str,
        Option(
            Line(), SHARDS, "The cluster of --engine; auto is the one that its own settings name", metavar="ADDRESS"
        ),
    ] = AUTO
