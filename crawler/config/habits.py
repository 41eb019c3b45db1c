"""What options are called in curl, wget, requests and Scrapy: what is taken as it is meant, and what to write instead.

A flag is taken only where it means here what it means there. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

_IN_THE_URL: Final = "write the fields into the URL: 'https://.../?name=value'"
_BY_NAME: Final = "bodies are kept by their names with --bodies DIR --bodies-as name"
_IN_THE_PROXY: Final = "user and password stand in the URL of -x, which may be env:NAME or @FILE"
_HEADERS: Final = "the record has the headers: --fields url,status,headers"
_NOT_SPOKEN: Final = "Basic and Digest are what is spoken here (-u)"

SAME: Final[Mapping[str, str]] = {
    "--silent": "--quiet",
    "-s": "--quiet",
    "-f": "--fail",
    "--fail-with-body": "--fail",
    "-V": "--version",
    "--max-time": "--timeout",
    "--retry": "--retries",
    "--max-redirs": "--max-redirects",
    "--max-filesize": "--max-size",
    "--parallel-max": "--concurrency",
    "--data-ascii": "--data",
    "--data-binary": "--data",
    "--data-raw": "--data",
    "--data-urlencode": "--data",
    "--post-data": "--data",
    "--oauth2-bearer": "--bearer",
    "-E": "--cert",
    "--no-check-certificate": "--insecure",
    "--level": "--depth",
    "--bind-address": "--interface",
}
"""Flags of others that are taken, and what they are here."""

DONE_ANYWAY: Final = (
    *("-L", "--location", "--compressed", "-S", "--show-error", "-Z", "--parallel", "-g", "--globoff"),
    *("-N", "--no-buffer", "--basic", "-#", "--progress-bar"),
)
"""Flags of curl that are taken and change nothing: it is what is done."""

_INSTEAD: Final[Mapping[str, str]] = {
    "-a": "a file that is there is never appended to: name another one with -o, or go on with --job DIR",
    "-C": "what broke off goes on by itself with --bodies DIR",
    "--continue-at": "what broke off goes on by itself with --bodies DIR",
    "-D": _HEADERS,
    "--dump-header": _HEADERS,
    "-G": _IN_THE_URL,
    "--get": _IN_THE_URL,
    "--url-query": _IN_THE_URL,
    "--params": _IN_THE_URL,
    "--form-string": "write -F NAME=TEXT",
    "-i": f"{_HEADERS}; a file of URLs is named alone: crawler urls.txt",
    "--input-file": "a file of URLs is named alone: crawler urls.txt",
    "-J": _BY_NAME,
    "--remote-header-name": _BY_NAME,
    "--remote-name": _BY_NAME,
    "--remote-name-all": _BY_NAME,
    "--output-dir": _BY_NAME,
    "--output-document": "bodies are kept with --bodies DIR; -o FILE is for the records",
    "-P": _BY_NAME,
    "--directory-prefix": _BY_NAME,
    "-K": "URLs are named as a file, a URL a line: crawler urls.txt; options stand in --config FILE.toml",
    "-l": "links are followed so far with -r --depth N",
    "--load-cookies": "write -b FILE",
    "--save-cookies": "write --cookie-jar FILE",
    "-m": "the time for a URL is -t TIME",
    "-M": "the manual is `man crawler`, and all options are in `crawler help all`",
    "--manual": "the manual is `man crawler`, and all options are in `crawler help all`",
    "-p": "https goes through a tunnel of the proxy anyway",
    "--proxytunnel": "https goes through a tunnel of the proxy anyway",
    "-R": "links are left out with -r --exclude REGEX",
    "--random-wait": "waits are not random: write --delay TIME",
    "--password": "write -u USER:PASSWORD, or -u env:NAME",
    "--reject": "links are left out with -r --exclude REGEX",
    "--reject-regex": "write --exclude REGEX",
    "--accept-regex": "write --include REGEX",
    "-np": "write -r --scope prefix",
    "--no-parent": "write -r --scope prefix",
    "--span-hosts": "write -r --scope any, or domain",
    "--spider": "write -I for a list, or -r for a site: the records have the statuses",
    "-T": "write -X PUT -d @FILE",
    "--upload-file": "write -X PUT -d @FILE",
    "--post-file": "write -d @FILE",
    "--warc-file": "write -o NAME.warc.gz",
    "--tries": "write --retries N, which does not count the first try",
    "-U": f"a proxy's {_IN_THE_PROXY}; who asks is said with -A",
    "--proxy-user": _IN_THE_PROXY,
    "--socks5": "write -x socks5://HOST:PORT",
    "--socks5-hostname": "write -x socks5h://HOST:PORT",
    "--socks4": "SOCKS 4 is not spoken (-x socks5://HOST:PORT)",
    "--socks4a": "SOCKS 4 is not spoken (-x socks5h://HOST:PORT)",
    "--preproxy": "one proxy is gone through, not two: -x URL",
    "--post301": "the method of a request that is redirected follows the Fetch Standard: use 307 or 308",
    "--post302": "the method of a request that is redirected follows the Fetch Standard: use 307 or 308",
    "--location-trusted": "name each server that may have the password: --auth ORIGIN=USER:PASSWORD",
    "--url": "write the URL alone",
    "-w": "what is written is told by --template '{status} {time_total}'; the pause between requests is --delay TIME",
    "--write-out": "what is written is told by --template '{status} {time_total}'",
    "--wait": "write --delay TIME",
    "-Y": "write --min-rate SIZE",
    "-y": "write --min-rate SIZE, which looks back 30 s",
    "-z": "write --since RECORDS.jsonl",
    "--time-cond": "write --since RECORDS.jsonl",
    "--etag-save": "records keep the ETag: write -o RECORDS.jsonl, and --since RECORDS.jsonl the next time",
    "--etag-compare": "write --since RECORDS.jsonl",
    "-j": "all cookies of the file of -b are sent: leave the session's out of it",
    "--junk-session-cookies": "all cookies of the file of -b are sent: leave the session's out of it",
    "--anyauth": "-u sends Basic, and answers servers that ask for Digest; --digest never sends the password",
    "--ntlm": _NOT_SPOKEN,
    "--negotiate": _NOT_SPOKEN,
    "--aws-sigv4": _NOT_SPOKEN,
    "--connect-to": "write --resolve HOST:PORT:ADDRESS",
    "--doh-url": "write --dns-servers ADDRESS",
    "--http1.0": "HTTP/1.1 is spoken, and HTTP/1.0 understood",
    "--http1.1": "HTTP/1.1 is spoken unless you write --http2",
    "--http2-prior-knowledge": "HTTP/2 is spoken over TLS alone: --http2, with https",
    "--http3": "HTTP/3 is not spoken; HTTP/2 is with --http2",
    "--no-progress-meter": "write --no-progress",
    "--trace": "what became of each URL is said with -v",
    "--trace-ascii": "what became of each URL is said with -v",
    "--capath": "write --cacert FILE",
    "--next": 'requests that differ are lines of JSON Lines: {"url": ..., "method": ..., "json": ...}',
    "-:": 'requests that differ are lines of JSON Lines: {"url": ..., "method": ..., "json": ...}',
    "--retry-delay": "the wait grows with each try, and is what Retry-After says (--retry-after-cap)",
    "--retry-all-errors": "all that another try may help is tried again: --retries N",
    "--retry-connrefused": "all that another try may help is tried again: --retries N",
}

_KEYWORDS: Final[Mapping[str, str]] = {
    "params": "write Request(url, params=...), or the URL with its query",
    "proxies": "write proxy=URL; hosts={...} for some hosts alone",
    "verify": "write insecure=True for False, cacert=FILE for a file",
    "files": "write form={'name': Path(file)}, or Request(url, files=...)",
    "content": "write data=TEXT, or Request(url, data=BYTES)",
    "body": "write data=TEXT, or Request(url, data=BYTES); bodies='DIR' keeps what comes",
    "formdata": "write data={...}",
    "allow_redirects": "write max_redirects=0 for False",
    "follow_redirects": "write max_redirects=0 for False",
    "session": "write cookies='run' for one session",
    "trust_env": "write noproxy='*' to leave out the proxies of the environment",
    "stream": "write bodies='DIR': what is large goes to the disk while it comes; or use stream(urls)",
    "raise_for_status": "call record.raise_for_status()",
    "callback": "write parse=FUNCTION, with crawl(); a Request has a callback of its own",
    "meta": "write Request(url, meta=...)",
    "settings": "each setting is a keyword: concurrency=8, delay=1",
    "max_workers": "write concurrency=N",
    "limits": "write concurrency=N, per_host=N",
    "allowed_domains": "write scope='domain', include=[REGEX]",
    "start_urls": "write crawl(urls, parse=...), or give crawl a class: class Quotes(Spider)",
    "errback": "write on_error=FUNCTION, with crawl(); a Request has an errback of its own",
    "start_requests": "write on_start=FUNCTION, with crawl()",
    "username": "write user='USER:PASSWORD'",
    "password": "write user='USER:PASSWORD'",
    "token": "write bearer=TOKEN",
}

_ARGUMENTS: Final[Mapping[str, str]] = {
    "formdata": "write form={...}",
    "body": "write data=...",
    "content": "write data=...",
    "cb_kwargs": "write meta={...}, which the function finds in page.meta",
    "dont_filter": "a crawl asks once for a URL, a method and a body",
    "on_error": "write errback=FUNCTION, or crawl(..., on_error=FUNCTION), which hears of all that fails",
    "priority": "requests go out in the order in which they are found",
    "auth": "write headers={'Authorization': ...}, or user='USER:PASSWORD' for the run",
    "user": "write headers={'Authorization': ...}, or user='USER:PASSWORD' for the run",
    "cookies": "write headers={'Cookie': 'a=1'}, or cookie='a=1' for the run",
    "cookie": "write headers={'Cookie': 'a=1'}, or cookie='a=1' for the run",
    "referer": "write headers={'Referer': URL}",
    "range": "write headers={'Range': 'bytes=0-499'}",
    "user_agent": "write headers={'User-Agent': TEXT}",
    "verify": "write insecure=True for the run, or for its host in hosts={...}",
    "proxies": "write proxy=URL for the run, or for its host in hosts={...}",
    "proxy": "write proxy=URL for the run, or for its host in hosts={...}",
    "timeout": "write timeout=SECONDS for the run, or for its host in hosts={...}",
    "allow_redirects": "write max_redirects=0 for the run",
    "follow_redirects": "write max_redirects=0 for the run",
    "retries": "write retries=N for the run",
    "stream": "write bodies='DIR' for the run: what is large goes to the disk while it comes",
    "encoding": "text is sent as UTF-8: encode it yourself and write data=BYTES",
    "on_success": "write callback=FUNCTION",
}

_MISTAKEN: Final[Mapping[str, tuple[str, str]]] = {
    "-c": (r".*([A-Za-z]{2}|/).*", "cookies are kept in a file with --cookie-jar FILE"),
    "keyword auth": (r"[^=]*", "a login for the servers of the URLs is user='USER:PASSWORD'"),
    "keyword cookies": (r".*", "cookies to send are cookie='NAME=VALUE'"),
    "keyword timeout": (r".*", "that of connecting alone is connect_timeout"),
    "keyword cert": (r".*", "a key in a file of its own is key=FILE"),
}
"""By the flag or keyword: what a value looks like that somebody else's option of that name takes."""


def instead_of(flag: str) -> str:
    """Words to append to a complaint about an unknown flag: what to write instead, if it is one of another program."""
    return f": {words}" if (words := _INSTEAD.get(flag)) else ""


def instead_of_keyword(name: str) -> str:
    """The same for a keyword argument."""
    return f" ({words})" if (words := _KEYWORDS.get(name)) else ""


def instead_of_argument(name: str) -> str:
    """The same for an argument of Request."""
    return f" ({words})" if (words := _ARGUMENTS.get(name)) else ""


def mistaken(label: str, raw: object) -> str:
    """Words to append to a complaint about a value that another program's option of that name would take."""
    looks, words = _MISTAKEN.get(label, (None, ""))
    if looks is None:
        return ""
    meant = isinstance(raw, (tuple, Mapping)) or (isinstance(raw, str) and re.fullmatch(looks, raw, re.DOTALL))
    return f" ({words})" if meant else ""


def _raw(text: str) -> str:
    if text.startswith("@"):
        raise ValueError("text that begins with @ is taken for the name of a file (put it into one: -d @FILE)")
    return text


def _urlencoded(text: str) -> str:
    """One field, encoded: `content`, `=content` or `name=content`, as curl has it."""
    name, equals, content = text.partition("=")
    if not equals:
        name, content = "", text
    if "@" in name or (not equals and "@" in text):
        raise ValueError("a file is not read for this (text alone: NAME=TEXT)")
    return f"{name}={quote(content, safe='')}" if name else quote(content, safe="")


def range_with_r(first_input: str) -> str:
    """Words to append to a complaint about an input that -r, which takes no value here, was meant to have."""
    looks = re.fullmatch(r"\d+-\d*|-\d+", first_input)
    return " (-r follows links; the bytes of a file are --range FIRST-LAST)" if looks else ""


CONVERTED: Final[Mapping[str, Callable[[str], str]]] = {
    "--data-raw": _raw,
    "--post-data": _raw,
    "--data-urlencode": _urlencoded,
}
"""How the value of a flag of SAME is written here. They raise ValueError."""
