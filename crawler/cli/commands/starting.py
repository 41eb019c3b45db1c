"""The command that begins something new: a file of options to be filled in."""

from __future__ import annotations

import sys

from crawler.cli.answers import put
from crawler.config.config import OPTIONS, ConfigError, Settings
from crawler.config.kinds import shown

FILE = "crawler.toml"


def init(settings: Settings) -> int:
    """Write all options, commented out, to crawler.toml or to the file of -o. Asks nothing. Raises ConfigError."""
    from crawler.cli.usage.config_file import config_file
    from crawler.files import put_new, replace
    from crawler.printable import printable

    config = settings.config
    for name, label in settings.origins.items():
        if name not in {"output", "overwrite_output", "quiet"} and (label == "INPUT" or label.startswith("-")):
            words = "all options are written with their defaults" if label != "INPUT" else "-o FILE names the file"
            raise ConfigError(f"{label}: means nothing to init: {words}")
    outputs = [*config.output, *config.overwrite_output] or [FILE]
    if len(outputs) > 1:
        raise ConfigError(f"init: {len(outputs)} outputs, and there should be one: crawler init [-o FILE]")
    (path,) = outputs
    text = config_file([*OPTIONS.values()])
    if path == "-":
        return put(text)
    try:
        if config.overwrite_output:
            replace(path, text.encode())
        else:
            put_new(path, [text.encode()])
    except FileExistsError:
        raise ConfigError(f"init: {shown(path)} exists already (-O {shown(path)} replaces it)") from None
    except OSError as error:
        raise ConfigError(f"init: cannot write {shown(path)}: {error.strerror or error}") from error
    if not config.quiet and sys.stderr is not None:
        print(
            f"Wrote {printable(path)}. It holds where it is named: crawler --config {printable(path)} ...",
            file=sys.stderr,
        )
    return 0
