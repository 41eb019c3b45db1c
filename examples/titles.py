"""The titles of a site's pages, and for each broken link the page where it stands."""

import sys

from crawler import crawl

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"

for record in crawl([f"{SITE}/quotes/1.html"], delay=0, concurrency=1):
    if record.ok:
        print(record.title, record.url)
    else:
        print("broken:", record.status or record.error.code, record.url, "on", record.input.parent)
