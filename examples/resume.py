"""A job goes on where it was stopped: the first crawl may fetch two pages, the second all there are."""

import sys
from pathlib import Path

from crawler import crawl

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
FOLDER = Path(sys.argv[2] if len(sys.argv) > 2 else "quotes-job")

for most in (2, 100):
    options = {"job": str(FOLDER), "max_pages": most, "exclude": ["/tag/"], "delay": 0, "concurrency": 1}
    fetched = [record.url.rpartition("/")[2] for record in crawl([f"{SITE}/quotes/1.html"], **options)]
    print("fetched:", *fetched)
