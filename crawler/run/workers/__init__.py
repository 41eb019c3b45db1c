"""Workers of one machine: processes that fetch, decode, hash and read pages for a run, which keeps all else.

Imports what a run imports; `run/parts.py` opens them, the command line starts them early. `worker` is what such a
process runs.
"""

__all__ = ["cores", "fetching", "pool", "starting"]
