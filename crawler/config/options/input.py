"""The options that say what is read, and how."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from crawler.config.kinds import Choice, Flag, Line, Many, Option, Path
from crawler.config.options.crawl import CrawlOptions
from crawler.config.options.groups import INPUT

DefaultScheme = Literal["https", "http", "none"]


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
