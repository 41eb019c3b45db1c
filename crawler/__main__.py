"""`python -m crawler`, and the console script `crawler`."""

from __future__ import annotations

import sys

import crawler.cli.main
from crawler.cli.main import COMMANDS


def main() -> None:
    if not COMMANDS.keys() & sys.argv[1:2]:
        # Twisted takes pyOpenSSL along where there is one: a sixth of our start, for a TLS that no run speaks.
        sys.modules["OpenSSL"] = None  # type: ignore[assignment]
    try:
        code = crawler.cli.main.main()
    except KeyboardInterrupt:  # before the run, which has its own way to end
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
