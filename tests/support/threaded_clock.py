"""A Clock for what has threads of its own."""

from __future__ import annotations

import queue
import threading

from twisted.internet.task import Clock


class ThreadedClock(Clock):
    """A Clock that other threads may call; `pump` runs what they have sent."""

    def __init__(self):
        super().__init__()
        self.sent = queue.SimpleQueue()

    def callFromThread(self, function, *args):
        self.sent.put((function, args))

    def pump(self, until):
        while not until():
            function, args = self.sent.get(timeout=30)
            function(*args)


class WorkClock(ThreadedClock):
    """A Clock on which what a `Work` does takes no time: it is done before anybody looks at what is still to come."""

    def getDelayedCalls(self):
        while works := [thread for thread in threading.enumerate() if thread.name == "work"]:
            for work in works:
                work.join(30)
            self._run()
        self._run()
        return super().getDelayedCalls()

    def _run(self):
        while not self.sent.empty():
            function, args = self.sent.get()
            function(*args)
