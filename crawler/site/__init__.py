"""The built-in loopback site: good pages and faults for the demo, tests and benches (`python -m crawler.site`)."""

from crawler.site.demo import DEMO_RETRIES, DEMO_TIMEOUT, RunningSite, refused_port, running_site, start_demo
from crawler.site.faults import FAULTS, Fault
from crawler.site.pages import PAGES, Page
from crawler.site.server import Site
from crawler.site.wire import Hit

__all__ = [
    "DEMO_RETRIES",
    "DEMO_TIMEOUT",
    "FAULTS",
    "PAGES",
    "Fault",
    "Hit",
    "Page",
    "RunningSite",
    "Site",
    "refused_port",
    "running_site",
    "start_demo",
]
