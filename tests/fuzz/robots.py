"""A robots.txt: the rules in it, and that a slow and simple reading of RFC 9309 agrees that the rule which decides is about the URL."""

from __future__ import annotations

from crawler.robots import match
from crawler.robots.match import normal_pattern, normal_target
from crawler.robots.rules import MAX_DELAY, MAX_SITEMAPS, parse, product_token

SAMPLES = (
    b"User-agent: *\nDisallow: /private/\nAllow: /private/public\nCrawl-delay: 2\n\nUser-agent: crawler\nDisallow: /*.pdf$\n",
    b"\xef\xbb\xbfuser agent crawler\r\nDisallow: /a*b*c$\rAllow: *\n# comment\nDisallow: # none\nRequest-rate: 1/10m\n",
    b"User-agent: a\nUser-agent: crawler/2\nDisallow: /caf\xc3\xa9\nDisallow: /caf%E9\nDisallow: /%7ea\nDisallow: /?q=*&r=$\n",
    b"Sitemap: https://a.example/s.xml\nsite-map: b\nUser-agent: *\nDissallow: /\nAllow: /$\nDisallow: /**\nDisallow: /a$b\n",
)
TOKENS = (
    b"User-agent: *\n", b"User-agent: crawler\n", b"Disallow: ", b"Allow: ", b"/", b"*", b"$", b"%", b"%2F", b"%41", b"%e9", b"\n",
    b"\r", b"\r\n", b"#", b":", b" ", b"\t", b"Crawl-delay: ", b"0.5", b"1e9", b"99999999999", b"Request-rate: 1/0", b"0/1", b"Sitemap: ",
    b"\x00", b"\xff", b"\xe2\x80\xa8", b"?", b"a", b"\xef\xbb\xbf",
)  # fmt: skip
TARGETS = (
    "/", "/private/x", "/private/public", "/a.pdf", "/a.pdf?x", "/abc", "/aXbYc", "/caf%C3%A9", "/caf%E9", "/~a", "/%7Ea", "/?q=1&r=",
    "/robots.txt", "/a$b", "/a*b", "/%2A", "/a/b/c/d?e=f%2Fg", "/aaaaaaaaaaaaaaaaaaaa",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    rules = parse(data, "crawler")
    assert rules.crawl_delay is None or 0 <= rules.crawl_delay <= MAX_DELAY
    assert len(set(rules.sitemaps)) == len(rules.sitemaps) <= MAX_SITEMAPS
    assert all(sitemap == sitemap.strip() != "" for sitemap in rules.sitemaps)
    for target in TARGETS:
        decided = rules.decide(target)
        if decided is not None:
            assert str(decided).encode()
            assert covers(decided.path, target), (decided.path, target)
    assert rules.decide("/robots.txt") is None
    for line in data.decode("latin-1").splitlines()[:50]:
        product_token(line)
    # The patterns with stars are filed when there are many: that finds the same.
    few, match.FEW = match.FEW, 0  # type: ignore[misc]
    try:
        filed = parse(data, "crawler")
        for target in TARGETS:
            assert str(filed.decide(target)) == str(rules.decide(target)), target
    finally:
        match.FEW = few  # type: ignore[misc]
    # What comes at the end for others changes nothing for us, unless it names us or everybody.
    more = parse(data + b"\n\nUser-agent: otherbot-7\nDisallow: /\n", "crawler")
    addressed = parse(data + b"\n\nAllow: /otherbot-8\nUser-agent: otherbot-7\nDisallow: /\n", "crawler")
    assert [addressed.decide(target) and addressed.decide(target).path for target in TARGETS] == [  # type: ignore[union-attr]
        rules.decide(target) and rules.decide(target).path
        for target in TARGETS  # type: ignore[union-attr]
    ]
    assert more.sitemaps == rules.sitemaps


def covers(path: str, target: str) -> bool:
    """Whether the pattern matches, character by character, in the time of its length times that of the target's."""
    pattern = normal_pattern(path.removesuffix("$"))
    text = normal_target(target)
    reached = {0}
    for character in pattern:
        if character == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if text[at : at + 1] == character}
    return len(text) in reached if path.endswith("$") else bool(reached)
