"""Those who come from curl, requests or Scrapy: what they write is taken as it is meant, or they are told what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.cli.usage.flags import FLAGS, parse
from crawler.config.config import Config, ConfigError
from crawler.config.habits import DONE_ANYWAY, SAME, instead_of
from crawler.config.secrets import Secret

OURS = {flag for option in FLAGS for flag in (*option.flags, *option.opposites)}
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "coming-from.md"


def asked(*arguments: str) -> Config:
    """The Config of a command line."""
    return Config.build(**parse(arguments).values)


def refusal(**keywords: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.build(**keywords)
    return str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("-fsSL https://a.example/", "--fail --quiet https://a.example/"),
        ("-sL --compressed https://a.example/", "-q https://a.example/"),
        ("--max-time 5 --retry 3 --max-redirs 0 https://a.example/", "-t 5 --retries 3 --max-redirects 0 https://a.example/"),
        ("--data-raw a=1 --data-binary @f --data-ascii b https://a.example/", "-d a=1 -d @f -d b https://a.example/"),
        ("--data-urlencode 'q=a&b c' --data-urlencode =x/y --data-urlencode z? https://a.example/", "-d q=a%26b%20c -d x%2Fy -d z%3F https://a.example/"),
        ("-Z --parallel-max 9 https://a.example/", "-c 9 https://a.example/"),
        ("--level 2 -r --no-check-certificate https://a.example/", "--depth 2 -r -k https://a.example/"),
    ],
)  # fmt: skip
def test_flags_that_mean_the_same(theirs: str, ours: str) -> None:
    """They are taken under the names that they have elsewhere."""
    import shlex

    assert asked(*shlex.split(theirs)) == asked(*shlex.split(ours))


def test_a_request_copied_out_of_a_browser() -> None:
    """What "Copy as cURL" gives works with another first word."""
    config = asked(
        *("https://a.example/api", "-H", "accept: application/json", "-b", "sid=1", "-H", "origin: https://a.example"),
        *("--data-raw", '{"a":1}', "--compressed", "--insecure", "-X", "PUT"),
    )
    assert (config.method, config.data, config.insecure) == ("PUT", ('{"a":1}',), True)
    assert config.headers == ("accept: application/json", "origin: https://a.example")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-w x", "unknown option '-w': what is written is told by --template '{status} {time_total}'; the pause between requests is --delay TIME"),
        ("-T f", "unknown option '-T': write -X PUT -d @FILE"),
        ("-Uann:hunter2", "unknown option '-U': a proxy's user and password stand in the URL of -x, which may be env:NAME or @FILE; who asks is said with -A"),
        ("--get", "unknown option '--get': write the fields into the URL: 'https://.../?name=value'"),
        ("--data-raw @x", "--data-raw: text that begins with @ is taken for the name of a file (put it into one: -d @FILE)"),
        ("--data-urlencode a@x", "--data-urlencode: a file is not read for this (text alone: NAME=TEXT)"),
        ("-c jar.txt", "-c: 'jar.txt' is not a whole number from 1 to 10,000 (cookies are kept in a file with --cookie-jar FILE)"),
        ("-c 0", "-c: '0' is not a whole number from 1 to 10,000"),
        ("-np", "unknown option '-np': write -r --scope prefix"),
        ("-O", "-O: 'https://a.example/' is a URL, not a file for records (bodies are kept with --bodies DIR --bodies-as name)"),
        ("-r 0-499", "'0-499': there is no such file (-r follows links; the bytes of a file are --range FIRST-LAST)"),
    ],
)  # fmt: skip
def test_flags_that_mean_something_else(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    """One sentence says what to write instead; no value is quoted that may be a secret."""
    assert main([*arguments.split(), "https://a.example/"]) == 2
    assert capsys.readouterr().err == f"crawler: error: {message}\n"


def test_no_flag_of_ours_is_taken_for_one_of_others() -> None:
    """Names here go first, and what is taken is something that there is."""
    assert not OURS & {*SAME, *DONE_ANYWAY}
    assert [flag for flag in OURS if instead_of(flag)] == []
    assert set(SAME.values()) <= OURS


def test_what_the_page_says_of_curl_and_wget_is_answered() -> None:
    """Each flag in the first column of the tables for them is known here, or answered with what to write."""
    known = {*OURS, *SAME, *DONE_ANYWAY}
    for title in ("curl", "wget"):
        section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        first = " ".join(
            line.split(" | ")[0]
            for line in section.splitlines()
            if line.startswith("| `") and "| not there" not in line
        )
        flags = set(re.findall(r"`(--?[A-Za-z0-9][\w.-]*)", first))
        assert len(flags) > 20
        assert {flag for flag in flags if flag not in known and not instead_of(flag)} == set()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"params": {"a": 1}}, "unknown keyword argument 'params' (write Request(url, params=...), or the URL with its query)"),
        ({"verify": False}, "unknown keyword argument 'verify' (write insecure=True for False, cacert=FILE for a file)"),
        ({"proxies": {"https": "http://u:hunter2@p"}}, "unknown keyword argument 'proxies' (write proxy=URL; hosts={...} for some hosts alone)"),
        ({"cookies": {"sid": "hunter2"}}, "keyword cookies: dict is not one of chain, run, off (cookies to send are cookie='NAME=VALUE')"),
        ({"auth": "u:hunter2"}, "keyword auth: what was given is not ORIGIN=USER:PASSWORD, as https://example.org=joe:secret (or ORIGIN=env:NAME, ORIGIN=@FILE) (a login for the servers of the URLs is user='USER:PASSWORD')"),
        ({"timeout": (3, 4)}, "keyword timeout: (3, 4) is not a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d) (that of connecting alone is connect_timeout)"),
        ({"data": b"hunter2"}, "keyword data: bytes is not a list, each text, or @FILE"),
        ({"callback": print}, "unknown keyword argument 'callback' (write parse=FUNCTION, with crawl(); a Request has a callback of its own)"),
        ({"proxy": 3}, "keyword proxy: what was given is not the URL of a proxy (http://HOST:PORT; or https, socks5, socks5h), env:NAME or @FILE"),
    ],
)  # fmt: skip
def test_keywords_of_others(keywords: dict[str, object], message: str) -> None:
    """The keywords of requests, httpx and Scrapy: one sentence says what to write; no value is quoted that may be one."""
    assert refusal(**keywords) == message


def test_values_as_others_take_them() -> None:
    """A pair for a login, a dict of cookies, pairs for a form."""
    config = Config.build(user=("joe", "s:1"), cookie={"a": "1", "b": "2"}, data=[("a", "1"), ("b", "ä")])
    assert config.user == Secret("joe:s:1")
    assert config.cookie == (Secret("a=1"), Secret("b=2"))
    assert config.data == ("a=1&b=%C3%A4",)
