"""The token that lets people in at a port: whoever is on this machine may connect there."""

from __future__ import annotations

import os
import re
import secrets
import stat
from typing import Final

from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.files import open_plain, put_new

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,512}")
_MODE: Final = 0o600


def new_token() -> str:
    """256 bits, as text that may stand in a URL."""
    return secrets.token_urlsafe(32)


def token(path: str | None) -> str:
    """A new one; with a `path` the one in that file, which is made, for its owner alone, if it is not there.

    Raises ConfigError, also for a file in which others could have put a token that they know, or could read ours.
    """
    if path is None:
        return new_token()
    try:
        try:
            known = new_token()
            put_new(path, [f"{known}\n".encode()], mode=_MODE)
        except FileExistsError:
            with open_plain(path, links=True) as file:
                _check_owner(path, os.fstat(file.fileno()))
                known = file.read(1024).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {shown(path)}: {getattr(error, 'strerror', None) or error}") from error
    if not _TOKEN.fullmatch(known):
        raise ConfigError(f"--token-file: {shown(path)} holds no token (one line of 16 to 512 of A-Z a-z 0-9 _ -)")
    return known


def _check_owner(path: str, status: os.stat_result) -> None:
    """Refuse what is not for us alone. Root may have given it to us, and to a group that reads it."""
    if os.name != "posix":
        return
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in {os.geteuid(), 0}:
        raise ConfigError(f"--token-file: {shown(path)} belongs to another user, who may know the token (remove it)")
    if mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
        raise ConfigError(
            f"--token-file: others can read or change {shown(path)} (its mode is {mode:04o}): "
            f"remove it, or chmod 600 it and put a new token there"
        )
