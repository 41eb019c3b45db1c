"""HTTP/1.1 under treq: our own IAgent. It knows nothing of crawler but errors."""

__all__ = ["agent", "answer", "connection", "endpoint", "envelope", "head", "pool", "response", "tls", "turns"]
