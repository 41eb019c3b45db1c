"""What a page is about, and what it says of itself."""

__all__ = ["article", "facts"]
