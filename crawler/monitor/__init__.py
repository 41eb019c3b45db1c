"""Monitors read `stats.snapshot()`; nothing imports them but api and cli."""
