"""The command line: argv becomes a Config, a run and an exit code.

Imports whatever it needs, when it needs it; nobody but __main__ imports it.
"""

__all__ = ["main"]
