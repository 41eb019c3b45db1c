"""A spider with pagination: what `parse` yields as a dict is an item, what it yields as text is a URL to follow."""

import json
import sys

from crawler import crawl

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def parse(page):
    for quote in page.css("div.quote"):
        yield {"text": quote.css("span.text::text").get(), "author": quote.css("small.author::text").get()}
    yield from page.css("li.next a::attr(href)").getall()


for record in crawl([f"{SITE}/quotes/1.html"], parse=parse, delay=0):
    for item in record.data or ():  # None where no page arrived whole
        print(json.dumps(item, ensure_ascii=False))
