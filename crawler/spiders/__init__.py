"""What people write to say what a crawl does: a class, functions, models of items; and the file that all that is in."""

__all__ = ["elsewhere", "file", "items", "spider", "taking"]
