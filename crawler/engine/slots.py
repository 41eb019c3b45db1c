"""The slots of a run: how many visits may go on at once, which may be changed meanwhile."""

from __future__ import annotations

from twisted.internet.defer import DeferredSemaphore


class Slots(DeferredSemaphore):
    """`limit` of them, of which `tokens` are free."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._owed = 0  # in use, and not there any more once they come free

    def resize(self, number: int) -> None:
        """Another number of slots; when it is smaller, those in use are taken back as they come free."""
        more = number - self.limit
        # In this order: a slot that comes free resumes the loop at once.
        if more > 0:
            self.limit += more
            self.free(more)
        else:
            free = min(-more, self.tokens)
            self.tokens -= free
            self.limit += more
            self._owed += -more - free

    def free(self, number: int) -> None:
        """Give slots back: all at once, so that the loop, if it waits for one, finds the others free."""
        owed = min(number, self._owed)
        self._owed -= owed
        if number > owed:
            self.tokens += number - owed - 1
            self.release()
