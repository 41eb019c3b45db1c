"""The values that travel: Request, Response and Record (the wire schema). Nothing here does I/O, but
for `Record.body` where that is in a file.
"""

from crawler.models.cookie import Cookie
from crawler.models.facts import PageFacts
from crawler.models.headers import by_name
from crawler.models.making import error_info, record_of, timestamp, unfetched, untried
from crawler.models.record import SCHEMA_VERSION, Ending, ErrorInfo, FetchError, Outcome, Record
from crawler.models.request import (
    BODY_HEADERS,
    GUESS_SOURCE,
    INDEX_SOURCE,
    LEAF_SOURCE,
    LEAVES,
    LOGIN_SOURCE,
    REQUISITE_SOURCE,
    ROBOTS,
    SITEMAP_SOURCE,
    WITHIN_SOURCE,
    Ask,
    Body,
    FileBody,
    FormBody,
    Input,
    Part,
    Redirect,
    Request,
    Wanted,
)
from crawler.models.response import Findings, Kept, Link, Response, Timings

__all__ = [
    "BODY_HEADERS",
    "GUESS_SOURCE",
    "INDEX_SOURCE",
    "LEAF_SOURCE",
    "LEAVES",
    "LOGIN_SOURCE",
    "REQUISITE_SOURCE",
    "ROBOTS",
    "SCHEMA_VERSION",
    "SITEMAP_SOURCE",
    "WITHIN_SOURCE",
    "Ask",
    "Body",
    "Cookie",
    "Ending",
    "ErrorInfo",
    "FetchError",
    "FileBody",
    "Findings",
    "FormBody",
    "Input",
    "Kept",
    "Link",
    "Outcome",
    "PageFacts",
    "Part",
    "Record",
    "Redirect",
    "Request",
    "Response",
    "Timings",
    "Wanted",
    "by_name",
    "error_info",
    "record_of",
    "timestamp",
    "unfetched",
    "untried",
]
