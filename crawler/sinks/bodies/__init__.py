"""Bodies as files in a folder: which file, what it is called, and how a run that goes on knows it again.

Nothing from the network chooses where something is written: names are made safe, and no link on the disk is followed.
"""

__all__ = ["keeping", "ledger", "names", "tree"]
