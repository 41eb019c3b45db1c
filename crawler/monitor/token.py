"""The token that lets people in at a port: whoever is on this machine may connect there."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final

from crawler.config import ConfigError
from crawler.options import shown

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,512}")
_MODE: Final = 0o600


def new_token() -> str:
    """256 bits, as text that may stand in a URL."""
    return secrets.token_urlsafe(32)


def token(path: str | None) -> str:
    """A new one; with a `path` the one in that file, which is made, for its owner alone, if it is not there.

    Raises ConfigError.
    """
    if path is None:
        return new_token()
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            with Path(path).open(encoding="utf-8") as file:
                known = file.read(1024).strip()
        else:
            known = new_token()
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{known}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {error}") from error
    if not _TOKEN.fullmatch(known):
        raise ConfigError(f"--token-file: {shown(path)} holds no token (one line of 16 to 512 of A-Z a-z 0-9 _ -)")
    return known
