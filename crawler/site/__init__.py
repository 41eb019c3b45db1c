"""The built-in loopback site: good pages and faults for the demo, tests and benches (`python -m crawler.site`)."""

from crawler.site.demo import DEMO_RETRIES, DEMO_TIMEOUT, RunningSite, refused_port, running_site, start_demo
from crawler.site.faults import FAULTS, Fault
from crawler.site.pages import PAGES, Page, answer
from crawler.site.server import Site
from crawler.site.wire import Drive, Hit, Wire

__all__ = [
    "DEMO_RETRIES",
    "DEMO_TIMEOUT",
    "FAULTS",
    "PAGES",
    "Drive",
    "Fault",
    "Hit",
    "Page",
    "RunningSite",
    "Site",
    "Wire",
    "answer",
    "refused_port",
    "running_site",
    "start_demo",
]
