"""Object stores: how an object is named, and what may be done with one. obstore does the work (the extra `cloud`)."""

__all__ = ["address", "bucket", "reading"]
