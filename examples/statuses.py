"""A list of URLs into a table of statuses: CSV on standard output."""

import csv
import sys

from crawler import stream

SITE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
URLS = [f"{SITE}/hello/english.html", f"{SITE}/moved/twice", f"{SITE}/missing.html", f"{SITE}/fault/empty-reply"]

table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["url", "status", "redirects", "error"])
for record in stream(URLS, ordered=True, retries=0):
    table.writerow([record.url, record.status, len(record.redirects), record.error and record.error.code])
