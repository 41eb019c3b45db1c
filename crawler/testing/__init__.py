"""For tests of programs that fetch: a site on this machine with faults on order, and answers recorded once.

As pytest's fixtures `crawler_site` and `crawler_recording`, which are there where this is installed; or as context
managers for whatever else runs tests: `serving` and `recording`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crawler.testing.recorded import NotRecorded, Recording, recording
    from crawler.testing.site import Answer, Asked, LocalSite, serving

__all__ = ["Answer", "Asked", "LocalSite", "NotRecorded", "Recording", "recording", "serving"]

_HOME = {
    "Answer": "site",
    "Asked": "site",
    "LocalSite": "site",
    "NotRecorded": "recorded",
    "Recording": "recorded",
    "recording": "recorded",
    "serving": "site",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: pytest loads the plugin in each run of everybody's tests (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'crawler.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"crawler.testing.{home}"), name)
