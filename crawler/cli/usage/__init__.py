"""What the command line says about itself: its flags, --help, the man page, completion. Imports config alone."""

__all__ = ["completion", "config_file", "flags", "help"]
