"""Links checked: which are broken, which are unsure, and every place that has them. Above a run, which it makes.

Imports run, report and what lies below; the command line imports it.
"""

__all__ = ["files", "findings", "formats", "gathering", "telling"]
