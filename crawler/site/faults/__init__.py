"""The faults: what broken and hostile servers send, byte by byte, and what a client should make of it.

`/fault/NAME` answers with the fault. `rows` number the cases of the project's fault table; `expect` is "ok" or an error
code; `warnings` are the record's. Nothing here imports the client: the table is a promise that the client keeps.
"""

from __future__ import annotations

from typing import Final

from crawler.site.faults.connection import CONNECTION, FRAMING
from crawler.site.faults.content import CODING, REDIRECTS
from crawler.site.faults.head import HEADERS, STATUS_LINE
from crawler.site.faults.script import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS: Final[dict[str, Fault]] = CONNECTION | FRAMING | STATUS_LINE | HEADERS | CODING | REDIRECTS
