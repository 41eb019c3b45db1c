"""Monitors read `stats.snapshot()`; nothing imports them but api and cli."""

__all__ = [
    "console",
    "dashboard",
    "guard",
    "listening",
    "log",
    "log_capture",
    "messages",
    "metrics",
    "progress",
    "token",
    "units",
]
