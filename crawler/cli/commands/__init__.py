"""The commands: the table of them, and what each does. What fetches, and what reads what runs have left.

Imports whatever it needs, when it needs it.
"""

__all__ = ["table"]
