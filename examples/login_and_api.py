"""A form to log in with, then a JSON API behind it: a list that is paged by GET, and a search that is by POST."""

import sys

from crawler import Request, crawl

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def parse(page):
    yield page.form({"user": "demo", "password": "demo"}, callback=logged_in)


def logged_in(page):
    headers = {"Authorization": "Bearer " + page.css("meta[name=api-token]::attr(content)").get()}
    yield Request("/api/quotes", headers=headers, callback=listed)
    yield search("Seneca", 1, headers)


def listed(page):
    yield {"listed": len(page.json()["quotes"])}
    if following := page.json()["next"]:
        yield Request(following, headers=page.request.headers, callback=listed)


def search(author, number, headers):
    asked = {"author": author, "page": number}
    return Request("/api/search", json=asked, headers=headers, meta=asked, callback=found)


def found(page):
    for quote in page.json()["quotes"]:
        yield {"found": quote["text"]}
    if number := page.json()["next"]:
        yield search(page.meta["author"], number, page.request.headers)


for record in crawl([f"{SITE}/members/login"], parse=parse, delay=0, concurrency=1):
    for item in record.data or ():
        print(record.method, record.url.removeprefix(SITE), item)
