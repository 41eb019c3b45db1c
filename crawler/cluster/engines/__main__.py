"""A process that does tasks: `python -m crawler.cluster.engines`. A line of standard input is a task, one of standard
output what came of it. When its input ends it ends at once, also within a task: nobody wants what comes of that.
"""

from __future__ import annotations

import os
import queue
import sys
import threading

from crawler.cluster.tasks import perform


def main() -> None:
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else writes there

    def read() -> None:
        with open(0, "rb", closefd=False) as lines:
            for line in lines:
                tasks.put(line)
        os._exit(0)

    threading.Thread(target=read, name="tasks", daemon=True).start()
    while True:
        answers.write(perform(tasks.get()) + b"\n")
        answers.flush()


if __name__ == "__main__":
    sys.modules["OpenSSL"] = None  # type: ignore[assignment]  # as crawler/__main__.py says
    main()
