"""What one fetch may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds per phase and in all, of those in which the reactor was free; `max_size` in bytes; `min_rate` in bytes
    per second, judged after 30 s of body.

    With `partial` what comes before `max_size` is had, however much was announced. With `follow` redirects are
    followed, and nobody needs their bodies.
    """

    total: float = 60.0
    dns: float = 5.0
    connect: float = 10.0
    tls: float = 10.0
    headers: float = 20.0
    idle: float = 20.0
    min_rate: float = 100.0
    max_size: int = 10 * 1024 * 1024
    partial: bool = False
    follow: bool = True

    def of(self, phase: str) -> tuple[str, float]:
        """The code and the limit of a phase before the body."""
        return {
            "dns": ("dns_timeout", self.dns),
            "connect": ("connect_timeout", self.connect),
            "tls": ("timeout_tls", self.tls),
            "send": ("timeout_send", self.idle),
            "headers": ("timeout_headers", self.headers),
        }[phase]
