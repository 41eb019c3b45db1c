"""For what works on shards: a site under all names, and kills of who holds a lease."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from crawler.site import RunningSite


def hosts(site: RunningSite) -> str:
    """For --resolve: the site under all names."""
    return f"*:{site.url('/').split(':')[2].strip('/')}:127.0.0.1"


def named(site: RunningSite, host: str, path: str) -> str:
    """The URL of a path of the site under another name."""
    return site.url(path).replace("127.0.0.1", host).replace("localhost", host)


def kill_workers(parts: Path, killed: set[int], most: int) -> bool:
    """kill -9 who does a shard in the middle of its part, each once; whether so many have been."""
    for path in parts.glob("lease-*"):
        with suppress(FileNotFoundError, json.JSONDecodeError):
            pid = json.loads(path.read_bytes())["pid"]
            shard = path.name.split("-")[1]
            if pid not in killed and any(part.stat().st_size for part in parts.glob(f".part-{shard}-*")):
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        if len(killed) >= most:
            return True
    return False
