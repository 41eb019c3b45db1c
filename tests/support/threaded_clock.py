"""A Clock for what has threads of its own."""

from __future__ import annotations

import queue

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
