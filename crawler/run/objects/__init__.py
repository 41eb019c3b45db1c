"""What a run puts into object stores."""

__all__ = ["bodies", "looking"]
