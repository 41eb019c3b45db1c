"""Bodies into files with names of your own; only what arrived whole."""

import sys
from pathlib import Path

from crawler import stream

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
FOLDER = Path(sys.argv[2] if len(sys.argv) > 2 else "downloads")
URLS = {f"{SITE}/paper.pdf": "paper.pdf", f"{SITE}/data.json": "data.json", f"{SITE}/fault/body-short": "short.html"}

FOLDER.mkdir(exist_ok=True)
for record in stream(URLS, ordered=True, retries=0):
    if record.ok:
        (FOLDER / URLS[record.url]).write_bytes(record.body)
        print(URLS[record.url], record.size_body, "bytes")
    else:
        print(URLS[record.url], "is left out:", record.error.code if record.error else record.status)
