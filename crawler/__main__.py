"""`python -m crawler`, and the console script `crawler`."""

from __future__ import annotations

import sys

from crawler import cli


def main() -> None:
    try:
        code = cli.main()
    except KeyboardInterrupt:  # before the run, which has its own way to end
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
