"""robots/rules.py: RFC 9309 section 2.2 with its own examples, what Google's parser is known to do, and protego as judge."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from protego import Protego

from crawler.robots.rules import MAX_BYTES, MAX_SITEMAPS, Rules, parse, product_token
from crawler.urls import parse as parse_url


def rules(text: str, token: str = "FooBot") -> Rules:
    return parse(text.encode(), token)


def allowed(text: str, path: str, token: str = "FooBot") -> bool:
    rule = rules(text, token).decide(parse_url(f"http://h{path}").target)
    return rule is None or rule.allow


def deny_all_but(path: str) -> str:
    return f"user-agent: FooBot\ndisallow: /\nallow: {path}\n"


RFC_SIMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

"""


@pytest.mark.parametrize(
    ("token", "path", "expected"),
    [
        ("anybot", "/x.gif", False),
        ("anybot", "/x.gif?x", True),
        ("anybot", "/example/x", False),
        ("anybot", "/publications/x", True),
        ("foobot", "/x", False),
        ("foobot", "/publications/", False),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/example/other.gif", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("bazbot", "/example/x.gif", True),
        ("quxbot", "/example/page.html", True),
        ("QUXBOT", "/example/page.html", True),
    ],
)
def test_the_example_of_the_rfc(token, path, expected):
    """Section 5.1."""
    assert allowed(RFC_SIMPLE, path, token) is expected


def test_the_longest_match_of_the_rfc():
    """Section 5.2: the rule with most octets decides, wherever it stands."""
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert not allowed(text, "/example/page/disallowed.gif")
    assert allowed(text, "/example/page/allowed.gif")


GROUPS = [
    # nothing, and rules in no group
    ("", "/x", True),
    ("disallow: /\n", "/x", True),
    ("disallow: /\nuser-agent: FooBot\nallow: /\n", "/x", True),
    ("foo: FooBot\nbar: /\n", "/x", True),
    # names are found whatever their case, up to a version, and never in part
    ("USER-AGENT: FOOBOT\nDISALLOW: /\n", "/x", False),
    ("uSeR-aGeNt: fOoBoT\ndIsAlLoW: /\n", "/x", False),
    ("user-agent: FooBot/1.2\ndisallow: /\n", "/x", False),
    ("user-agent: FooBot Bar\ndisallow: /\n", "/x", False),
    ("user-agent: FooBot*\ndisallow: /\n", "/x", False),
    ("user-agent: Foo\ndisallow: /\n", "/x", True),
    ("user-agent: FooBots\ndisallow: /\n", "/x", True),
    ("user-agent: FooBot-News\ndisallow: /\n", "/x", True),
    ("user-agent: Bot\ndisallow: /\n", "/x", True),
    ("user-agent: My FooBot\ndisallow: /\n", "/x", True),
    ("user-agent:\ndisallow: /\n", "/x", True),
    # groups of one name are one; "*" counts only where nobody names us, an empty group of ours included
    ("user-agent: FooBot\ndisallow: /a\nuser-agent: FooBot\ndisallow: /b\n", "/a", False),
    ("user-agent: FooBot\ndisallow: /a\nuser-agent: FooBot\ndisallow: /b\n", "/b", False),
    ("user-agent: *\ndisallow: /\nuser-agent: FooBot\ndisallow: /y\n", "/x", True),
    ("user-agent: FooBot\ndisallow: /y\n\nuser-agent: *\ndisallow: /\n", "/x", True),
    ("user-agent: *\ndisallow: /\nuser-agent: FooBot\n", "/x", True),
    ("user-agent: *\ndisallow: /\nuser-agent: FooBot\ndisallow:\n", "/x", True),
    ("user-agent: * and all\ndisallow: /\n", "/x", False),
    ("user-agent: BarBot\nuser-agent: *\ndisallow: /\n", "/x", False),
    # blank lines and comments part nothing
    ("user-agent: FooBot\n\n# x\n\ndisallow: /\n", "/x", False),
    ("user-agent: FooBot # us\ndisallow: / # all\n", "/x", False),
    ("user-agent: BarBot\n\nuser-agent: FooBot\n\nuser-agent: BazBot\ndisallow: /\n", "/x", False),
    # section 2.2.4: other records end no group
    ("user-agent: FooBot\nsitemap: http://h/s.xml\nuser-agent: *\ndisallow: /\n", "/x", False),
    ("user-agent: FooBot\nunknown-line: x\nuser-agent: *\ndisallow: /\n", "/x", False),
    ("user-agent: FooBot\ndisallow: /a\nsitemap: http://h/s.xml\ndisallow: /x\n", "/x", False),
    # but Crawl-delay is a rule of its group to us
    ("user-agent: *\ncrawl-delay: 10\n\nuser-agent: BarBot\ndisallow: /\n", "/x", True),
    ("user-agent: *\nrequest-rate: 1/10\n\nuser-agent: BarBot\ndisallow: /\n", "/x", True),
    # what people write
    ("user-agent FooBot\ndisallow /\n", "/x", False),
    ("useragent:FooBot\ndissallow:/\n", "/x", False),
    ("  User agent :  FooBot  \n\tDisalow\t:\t/\t\n", "/x", False),
    ("user-agent: FooBot\rdisallow: /\r", "/x", False),
    ("user-agent: FooBot\r\ndisallow: /\r\n", "/x", False),
    ("user-agent: FooBot\ndisallow: /", "/x", False),
    ("\ufeffuser-agent: FooBot\ndisallow: /\n", "/x", False),
    ("<html>\n<body>User-agent: FooBot\nDisallow: /</body>\n</html>", "/x", True),
    ("user-agent: FooBot\ndisallow: x\n", "/x", True),
    ("user-agent: FooBot\ndisallow: $\n", "/", True),
    ("user-agent: FooBot\ndisallow: *\n", "/x", False),
    ("user-agent: FooBot\n# \u2028disallow: /\n", "/x", True),
]


@pytest.mark.parametrize(("text", "path", "expected"), GROUPS)
def test_groups(text, path, expected):
    """Section 2.2.1: which lines are for us."""
    assert allowed(text, path) is expected


MATCHES = [
    # as documented by Google for path values
    (
        "/fish",
        "/fish /fish.html /fish/salmon.html /fishheads/yummy.html /fish.php?id=x",
        "/Fish.asp /catfish /?id=fish",
    ),
    ("/fish*", "/fish /fish.html /fish/salmon.html /fish.php?id=x", "/Fish.asp /catfish /?id=fish"),
    ("/fish/", "/fish/ /fish/?id=x /fish/salmon.htm", "/fish /fish.html /Fish/Salmon.asp"),
    ("/*.php", "/index.php /a/b.php?x /a/any.php.file.html /x.php/ /index?f=x.php", "/ /windows.PHP /php /index?php"),
    ("/*.php$", "/filename.php /folder/filename.php", "/x.php?y /x.php/ /x.php5 /windows.PHP /x?php"),
    ("/fish*.php", "/fish.php /fishheads/catfish.php?parameters", "/Fish.PHP /fis.php"),
    ("/$", "/", "/x /?x"),
    ("/a$b", "/a$b /a$bc /a%24b", "/a /ab"),
    ("/*a*b*c$", "/abc /xaxbxc /aabbcc /abcabc", "/ab /abcx /acb /cba /bac"),
    ("/a*a$", "/aa /aba /aaa", "/a /ab"),
    ("/a**b", "/ab /axb", "/a /ba"),
    ("/**", "/ /x", ""),
    ("*/x", "/x /a/x /a/xy", "/ /y"),
    # section 2.2.2: escapes
    ("/foo/bar?baz=quz", "/foo/bar?baz=quz /foo/bar?baz=quzz", "/foo/bar /foo/bar%3Fbaz=quz"),
    ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar /foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar"),
    ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar /foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo"),
    ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84 /foo/bar/\u30c4 /foo/bar/%e3%83%84", "/foo/bar/"),
    ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84 /foo/bar/\u30c4", "/foo/bar/%E3%83"),
    ("/foo/bar/%62%61%7A", "/foo/bar/baz /foo/bar/%62%61%7a", "/foo/bar/%62"),
    ("/a b", "/a%20b", "/a /ab"),
    ("/a%20b", "/a%20b", "/ab"),
    ("/%7Ejoe/", "/~joe/ /%7ejoe/x", "/joe/"),
    ("/a%2Fb", "/a%2fb", "/a/b"),
    ("/a/b", "/a/b", "/a%2Fb"),
    ("/a%25b", "/a%25b", "/a%b"),
    ("/a;b=c,d", "/a;b=c,d /a%3Bb%3dc%2cd", "/a"),
    # section 2.2.3: special characters meant as such
    ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html /path/file-with-a-%2a.html", "/path/file-with-a-x.html"),
    ("/path/foo-%24", "/path/foo-$ /path/foo-$x", "/path/foo-"),
    ("/x#y", "/x /xy", "/"),
]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [(pattern, path, True) for pattern, paths, _ in MATCHES for path in paths.split()]
    + [(pattern, path, False) for pattern, _, paths in MATCHES for path in paths.split()],
)
def test_matches(pattern, path, expected):
    """A path matches from its first octet on, with "*" and a final "$"; escapes equal what they stand for."""
    assert allowed(deny_all_but(pattern), path) is expected


@pytest.mark.parametrize(
    ("lines", "path", "expected"),
    [
        ("allow: /p\ndisallow: /", "/page", True),
        ("allow: /folder\ndisallow: /folder", "/folder/page", True),
        ("disallow: /folder\nallow: /folder", "/folder/page", True),
        ("allow: /page\ndisallow: /*.htm", "/page.htm", False),
        ("allow: /page\ndisallow: /*.ph", "/page.php5", True),
        ("disallow: /page\nallow: /*.ph", "/page.php5", True),
        ("allow: /x/page.\ndisallow: /*.html", "/x/page.html", True),
        ("allow: /$\ndisallow: /", "/", True),
        ("allow: /$\ndisallow: /", "/page.htm", False),
        ("disallow: /a$\nallow: /a*", "/a", True),
        ("disallow: /x\nallow: /x/", "/x", False),
        ("disallow: /x\nallow: /x/", "/x/", True),
        ("disallow: /x/page.html\nallow: /x/", "/x/page.html", False),
        ("disallow: /*\nallow: /aa\ndisallow: /aaa*b", "/aaab", False),
        ("allow: /ab\nallow: /abcdefgh\ndisallow: /*b$", "/ab", False),
        ("disallow:\nallow:", "/x", True),
        ("disallow: /robots.txt\ndisallow: /", "/robots.txt", True),
        ("disallow: /", "/robots.txt.bak", False),
    ],
)
def test_precedence(lines, path, expected):
    """Section 2.2.2: of all rules that match the longest decides, of equally long ones Allow. /robots.txt is free."""
    assert allowed(f"user-agent: FooBot\n{lines}\n", path) is expected


def test_the_line_that_decided():
    """The rule says where it stands and what it is, whatever ends the lines."""
    for newline in ("\n", "\r", "\r\n"):
        text = newline.join(["# us", "user-agent: *", "", "Disallow: /a  # secret", "allow: /a/b*"])
        known = rules(text)
        assert str(known.decide("/a/x")) == "line 4: Disallow: /a"
        assert str(known.decide("/a/b/c")) == "line 5: Allow: /a/b*"
        assert known.decide("/b") is None
    rule = parse(b"user-agent: *\ndisallow: /caf\xe9", "x").decide("/caf%E9/")
    assert str(rule) == "line 2: Disallow: /caf\ufffd"
    assert str(rules("user-agent: *\ndisallow: /" + "a" * 999).decide("/" + "a" * 999)).endswith("a" * 199)


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("crawl-delay: 3", 3.0),
        ("Crawl-Delay:0.5", 0.5),
        ("crawl delay 2", 2.0),
        ("crawl-delay: 10s", 10.0),
        ("crawl-delay: 5 seconds", 5.0),
        ("crawl-delay: 1,5", 1.5),
        ("crawl-delay: ,5", 0.5),
        ("crawl-delay: 5.", 5.0),
        ("crawl-delay: 500ms", 0.5),
        ("crawl-delay: 2 min", 120.0),
        ("crawl-delay: 1H", 3600.0),
        ("crawl-delay: 1.5.2", 1.5),
        ("crawl-delay: .", None),
        ("crawl-delay: ,s", None),
        ("crawl-delay: 0", 0.0),
        ("crawl-delay: 1\ncrawl-delay: 4\ncrawl-delay: 2", 4.0),
        ("crawl-delay: " + "9" * 400, 86_400.0),
        ("crawl-delay: -1", None),
        ("crawl-delay: soon", None),
        ("crawl-delay: nan", None),
        ("crawl-delay:", None),
        ("crawl-delay: \u0663", None),
        ("request-rate: 1/5", 5.0),
        ("request-rate: 30/1m", 2.0),
        ("request-rate: 1/1h 0900-1700", 3600.0),
        ("request rate: 2 / 1", 0.5),
        ("request-rate: 0/5", None),
        ("request-rate: 1", None),
        ("request-rate: " + "9" * 400 + "/1", None),
        ("crawl-delay: 1\nrequest-rate: 1/7", 7.0),
    ],
)
def test_crawl_delay(lines, seconds):
    """Crawl-delay and Request-rate both say how far apart requests must be: the longer counts, nonsense does not."""
    assert rules(f"user-agent: *\n{lines}\n").crawl_delay == seconds


def test_crawl_delay_belongs_to_a_group():
    """What others are told about their pace is not for us."""
    text = "crawl-delay: 9\nuser-agent: BarBot\ncrawl-delay: 5\nuser-agent: *\ncrawl-delay: 2\n"
    assert rules(text).crawl_delay == 2.0
    assert rules(text, "barbot").crawl_delay == 5.0
    assert rules(text + "user-agent: FooBot\ndisallow: /x\n").crawl_delay is None


def test_sitemaps():
    """Sitemap lines are for everybody, wherever they stand; each counts once, and there may not be endlessly many."""
    text = "Sitemap: http://h/a.xml # main\nuser-agent: BarBot\nsitemap http://h/b.xml\nSITE-MAP:/c.xml\nsitemap:\n"
    assert rules(text + text).sitemaps == ("http://h/a.xml", "http://h/b.xml", "/c.xml")
    text = "sitemap: <http://h/q.xml>\nsitemap: 'http://h/r.xml' \nsitemap: \"\"\nsitemap: /\u65e5.xml\n"
    assert rules(text).sitemaps == ("http://h/q.xml", "http://h/r.xml", "/\u65e5.xml")
    assert parse(b"sitemap: http://h/caf\xe9.xml\n", "x").sitemaps == ("http://h/caf%E9.xml",)
    assert len(rules("".join(f"sitemap: /{i}\n" for i in range(MAX_SITEMAPS + 9))).sitemaps) == MAX_SITEMAPS


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff\ufeffuser-agent: *\ndisallow: /a".encode(),
        "\n\ufeffuser-agent: *\n\ufeffdisallow: /a".encode(),
        "user-agent: *\r\ndisallow: /a".encode("utf-16"),
        "\ufeffuser-agent: *\rdisallow: /a".encode("utf-16-be"),
        "user-agent: *\ndisallow: /a".encode("utf-16-le"),
        "user-agent: *\ndisallow: /a".encode("utf-16-be"),
    ],
)
def test_marks_and_wide_characters(body):
    """A file with more than one byte order mark, or in UTF-16, forbids what it forbids."""
    assert str(parse(body, "x").decide("/ab")).endswith("Disallow: /a")


def test_only_so_much_is_read():
    """Section 2.5: the first 500 KiB count; a line that is cut there does not, since it may say the opposite."""
    start = b"user-agent: *\ndisallow: /a\n"
    filler = b"#" * (MAX_BYTES - len(start) - len(b"\ndisallow: /"))
    known = parse(start + filler + b"\ndisallow: /private\nallow: /a\n", "x")
    assert str(known.decide("/a")) == "line 2: Disallow: /a"
    assert known.decide("/b") is None
    exact = start + b"#" * (MAX_BYTES - len(start) - len(b"\ndisallow: /b")) + b"\ndisallow: /b"
    assert parse(exact, "x").decide("/b") is not None


@pytest.mark.parametrize(
    "body",
    [
        b"a\n" * 256_000,
        b":" * 512_000,
        b" " * 512_000,
        b"allow " * 85_000,
        b"user-agent:*\ndisallow: /" + b"*a" * 250_000 + b"$",
        b"user-agent:*\n" + b"disallow: /%41*\n" * 30_000,
        b"user-agent: *\n" * 36_000,
        bytes(range(256)) * 2_000,
    ],
    ids=lambda body: body[:24],
)
def test_hostile_files_cost_little(body):
    """Half a megabyte of anything is read in a blink, and asked in less."""
    start = time.process_time()
    known = parse(body, "x")
    assert time.process_time() - start < 1.0
    start = time.process_time()
    known.decide("/" + "a" * 2_000)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        ("crawler/0.1", "crawler"),
        ("crawler/0.1 (+https://example.com/bot)", "crawler"),
        ("Mozilla/5.0 (compatible; ExampleBot/0.1; https://www.example.com/bot.html)", "ExampleBot"),
        ("archive.org_bot", "archive.org_bot"),
        ("  My Bot", "My"),
        ("", ""),
    ],
)
def test_product_token(user_agent, token):
    """Our name for robots.txt is the one that the User-Agent begins with, or that comes after "compatible;"."""
    assert product_token(user_agent) == token


def test_without_a_name_only_the_star_is_for_us():
    """An empty User-Agent has no group of its own."""
    assert not allowed("user-agent: *\ndisallow: /\n", "/x", "")
    assert allowed("user-agent:\ndisallow: /\n", "/x", "")


lines = st.lists(
    st.one_of(
        st.sampled_from(
            ["user-agent: *", "user-agent: foobot", "user-agent: barbot", "", "# x", "sitemap: http://h/s"]
        ),
        st.builds(
            "{}: {}{}{}".format,
            st.sampled_from(["allow", "disallow"]),
            st.sampled_from(["/", "/a", "*"]),
            st.text("ab/*.", max_size=5),
            st.sampled_from(["", "", "$"]),
        ),
    ),
    max_size=12,
).map("\n".join)


@settings(max_examples=50)
@given(lines, st.lists(st.text("ab/.", max_size=6).map("/".__add__), min_size=1, max_size=6))
def test_agrees_with_protego(text, paths):
    """Another implementation says the same of what both understand."""
    other = Protego.parse(text)
    for path in paths:
        assume(not path.startswith("//"))  # protego takes it for a host
        known = rules(text).decide(path)
        assert (known is None or known.allow) == other.can_fetch(path, "foobot"), path


@given(st.binary(max_size=300), st.text("ab/*$%?41=", max_size=12).map("/".__add__))
def test_any_bytes_are_a_robots_txt(body, path):
    """Nothing is refused, and whatever was said can be written down."""
    for start in (b"", b"user-agent: x\ndisallow: /", b"\xef\xbb\xbfuser-agent: *\nallow: "):
        known = parse(start + body, "x")
        str(known.decide(path)).encode()
        for sitemap in known.sitemaps:
            assert sitemap
