"""Archives, on both sides of a fetch: what went over the wire is kept for one, and one is read in place of a wire."""

__all__ = ["captures", "message", "reading", "replay", "tape", "taping"]
