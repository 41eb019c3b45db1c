"""Every place of a page that links, with line and column, and what fragments may name there."""

__all__ = ["looking", "sitemap", "survey"]
