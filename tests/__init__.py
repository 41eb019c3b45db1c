"""The tests. A package, because some other that is installed has one of this name, too."""
