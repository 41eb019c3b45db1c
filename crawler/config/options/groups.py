"""The groups of the options, in the order of the help."""

from __future__ import annotations

from typing import Final

INPUT: Final = "Input"
CRAWL: Final = "Crawl"
REQUEST: Final = "Request"
PROXIES: Final = "Proxies"
LOGIN: Final = "Login and TLS"
ADDRESSES: Final = "Names and addresses"
POLITENESS: Final = "Concurrency and politeness"
LIMITS: Final = "Limits"
OUTPUT: Final = "Output"
CACHE: Final = "Cache"
JOB: Final = "Job"
MACHINES: Final = "Many machines"
CHECK: Final = "Checking links"
SHARDS: Final = "Shards"
EXTRACTION: Final = "Extraction"
PEOPLE: Final = "People"
MONITORS: Final = "Monitors"

GROUPS: Final = (
    INPUT,
    CRAWL,
    REQUEST,
    LOGIN,
    PROXIES,
    ADDRESSES,
    POLITENESS,
    LIMITS,
    OUTPUT,
    CACHE,
    JOB,
    MACHINES,
    CHECK,
    SHARDS,
    EXTRACTION,
    PEOPLE,
    MONITORS,
)
