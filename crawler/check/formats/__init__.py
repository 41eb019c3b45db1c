"""What a check found, written down: for people, and for the programs that people let read it.

Rules:
1. A format is a function of a Report that gives pieces of text, as it goes: twice the findings take twice the time.
2. All that came from pages is hostile: each format escapes it by its own rules, after `printable` has made visible
   what acts on a terminal. Passwords in URLs are left out.

Imports findings, and what lies below the room `check`.
`telling` is the way in: it writes a Report to the terminal and to files.
"""

__all__ = ["lines", "people", "report", "table"]
