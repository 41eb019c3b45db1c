"""The commands by which a list is divided, done in shards, and put together."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from crawler.cli.answers import complain
from crawler.config.config import Config, ConfigError, Settings
from crawler.config.kinds import shown
from crawler.errors import CodedError

if TYPE_CHECKING:
    from crawler.cluster.lease import Lease
    from crawler.cluster.manifest import Manifest
    from crawler.cluster.working import Seeds

NOT_WHOLE = 5


def split(settings: Settings) -> int:
    """Cut the inputs into shards."""
    from crawler.cluster.engines.table import open_engine
    from crawler.cluster.manifest import Cut
    from crawler.cluster.splitting import split as cut
    from crawler.objects.address import is_object
    from crawler.seeds.inputs import check, structure

    config = settings.config
    if not config.inputs:
        raise ConfigError("split: nothing to cut: name files of URLs, or - for standard input")
    for name in config.inputs:
        if "://" in name and not is_object(name):
            raise ConfigError(f"split: {shown(name)} is no file (a list of URLs is cut; - is that of standard input)")
    to = _place(settings, "split", "DIR")
    of_column = config.column if any(map(structure, config.inputs)) else None
    try:
        check(config.inputs, config.column)
    except ValueError as error:
        first, *more = str(error).splitlines()
        return complain(first, more, config.log_format)
    made = Cut(config.shards, of_column, config.keep_columns, config.default_scheme)
    stdin = None if sys.stdin is None else sys.stdin.buffer
    try:
        manifest = cut(config.inputs, made, to, open_engine(config), replace=bool(config.overwrite_output), stdin=stdin)
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=config.log_format)
        return NOT_WHOLE
    _say(config, _told(manifest, to))
    return 0


def _told(manifest: Manifest, to: str) -> str:
    giants = len({shard.giant for shard in manifest.shards if shard.giant is not None})
    words = f"{manifest.inputs:,} inputs in {len(manifest.shards):,} shards: {to}"
    return (
        f"{words} ({giants:,} {'domain has' if giants == 1 else 'domains have'} shards of their own)"
        if giants
        else words
    )


def work(settings: Settings) -> int:
    """Do the shard that is asked for, or with an engine all of them."""
    from crawler.cluster import working

    config = settings.config
    if len(config.inputs) != 1:
        raise ConfigError(
            f"work: {len(config.inputs)} folders, and there should be 1: crawler work DIR --shard N -o OUT"
        )
    to = _place(settings, "work", "OUT")
    working.check_options(config, settings.origins)
    if (config.shard is None) == (config.engine is None):
        both = "both --shard and --engine, and there should be one" if config.shard else "which shard?"
        raise ConfigError(f"work: {both} (--shard N, --shard auto, or all by --engine local)")
    if config.shard is None:
        return _work_all(settings, to)
    number = working.shard_number(config.shard, os.environ)
    (folder,) = config.inputs
    try:
        worked = working.work(folder, number, to, config, _on_terminal)
    except CodedError as error:
        complain(str(error), log_format=config.log_format)
        return NOT_WHOLE
    if worked.already:
        _say(config, f"Shard {number} is done already: {to}")
    return worked.exit_code


def _work_all(settings: Settings, to: str) -> int:
    """Do all shards by an engine."""
    from crawler.cluster.engines.table import open_engine
    from crawler.cluster.sharing import work_all

    config = settings.config
    done = inputs = 0
    try:
        for worked in work_all(config.inputs[0], to, config, open_engine(config)):
            done += 1
            inputs += worked.inputs
            if config.progress and sys.stderr is not None and sys.stderr.isatty():
                _say(config, f"{done:,} shards, {inputs:,} inputs: shard {worked.shard} is done")
    except CodedError as error:
        complain(str(error), log_format=config.log_format)
        return NOT_WHOLE
    _say(config, f"{done:,} shards are done, {inputs:,} inputs: {to}")
    return 0


def _on_terminal(lease: Lease, config: Config, seeds: Seeds) -> int:
    from crawler.cli.terminal import run_command

    with lease.calling(_stop):
        return run_command(config, seeds)


def _stop() -> None:
    """Have the run end as Ctrl-C does: another process has its shard."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
        return
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGTERM)


def collect(settings: Settings) -> int:
    """Check the parts of all shards, and join them."""
    from crawler.cluster.collecting import collect as join
    from crawler.sinks.joining import Form

    config = settings.config
    if not 1 <= len(config.inputs) <= 2:
        raise ConfigError(
            f"collect: {len(config.inputs)} folders, and there should be 1: crawler collect OUT [DIR] -o FILE"
        )
    outputs = (*config.output, *config.overwrite_output)
    if len(outputs) > 1:
        raise ConfigError(f"collect: {len(outputs)} outputs, and there should be one")
    parts, *shards = config.inputs
    try:
        if config.frontier is not None:
            from crawler.cli.commands.machines import collected

            told = collected(config, outputs[0] if outputs else None)
            if told.exit_code:
                first, *more = told.text.splitlines()
                complain(first, more, config.log_format)
            else:
                _say(config, told.text)
            return told.exit_code
        found = join(
            parts,
            outputs[0] if outputs else None,
            replace=bool(config.overwrite_output),
            shards=shards[0] if shards else None,
            items=config.items,
            form=Form(raw=config.csv_raw, bom=config.csv_bom),
        )
    except CodedError as error:
        complain(str(error), log_format=config.log_format)
        return NOT_WHOLE
    if found.problems:
        first, *more = found.problems
        complain(first, more, config.log_format)
        return NOT_WHOLE
    more_records = f", {found.records:,} records" if found.records != found.inputs else ""
    _say(config, f"Every input has one record: {found.inputs:,} inputs{more_records}")
    return 0


def _place(settings: Settings, command: str, what: str) -> str:
    outputs = (*settings.config.output, *settings.config.overwrite_output)
    if len(outputs) != 1 or outputs[0] == "-":
        given = "no folder" if not outputs else f"{len(outputs)} outputs" if len(outputs) > 1 else "standard output"
        raise ConfigError(f"{command}: {given}, and there should be one: -o {what}")
    return outputs[0]


def _say(config: Config, words: str) -> None:
    if not config.quiet and sys.stderr is not None:
        from crawler.printable import printable
        from crawler.redaction import discreet

        print(printable(discreet(words)), file=sys.stderr)
