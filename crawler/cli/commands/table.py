"""The commands: first words that are not inputs, and what each does. Without one, the inputs are fetched.

What is needed to run is imported when it runs, so that --help and mistakes are answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from crawler.cli.answers import complain, put, version_text
from crawler.cli.commands.checking import CHECK_REFUSES, CHECK_TAKES, check
from crawler.cli.commands.command import Command
from crawler.cli.commands.reading import about_job, diff, forget, report, wacz
from crawler.cli.commands.running import AGAIN_TAKES, again, attach, demo, doctor, shell
from crawler.cli.commands.sharding import collect, split, work
from crawler.cli.commands.spiders import run
from crawler.cli.commands.starting import init
from crawler.cli.usage.flags import COMMON, EXAMPLES, EXIT_CODES, FLAGS
from crawler.config.config import ConfigError, Settings
from crawler.config.habits import range_with_r
from crawler.config.kinds import Option, shown, suggestion
from crawler.config.options.groups import (
    ADDRESSES,
    CACHE,
    CHECK,
    CRAWL,
    EXTRACTION,
    JOB,
    LIMITS,
    LOGIN,
    MONITORS,
    OUTPUT,
    PEOPLE,
    POLITENESS,
    PROXIES,
    REQUEST,
    SHARDS,
)


def fetch(settings: Settings) -> int:
    """Fetch the inputs: what is done when the first word is no command."""
    config = settings.config
    if not config.inputs and config.frontier is None:
        from crawler.cli.usage.help import SEE_HELP, rows

        words = "nothing to fetch: name files of URLs, URLs, or - for standard input"
        examples = [*rows(EXAMPLES.items(), 42)]
        return complain(words, [*examples[:3], examples[-1], SEE_HELP], config.log_format)
    from crawler.fetch.archive.reading import is_archive
    from crawler.seeds.inputs import check

    if not config.inputs and not config.sitemap:
        from crawler.cli.commands.machines import check_joined

        try:
            check_joined(config)
        except ConfigError as error:
            return complain(str(error), (), config.log_format)

    try:
        check([name for name in config.inputs if not is_archive(name)], config.column)
    except ValueError as error:
        first, *more = str(error).splitlines()  # one for each bad input
        word = config.inputs[0]
        if first.startswith(f"{shown(word)}: there is no such file"):
            first += (range_with_r(word) if config.recursive else "") or suggestion(word, COMMANDS)
        return complain(first, more, config.log_format)
    import gc

    gc.disable()  # of what is imported nothing is garbage; the run turns it on again
    if config.procs != 1:
        from crawler.run.workers.cores import processes
        from crawler.run.workers.starting import start_early

        if processes(config.procs) > 1 and not any(map(is_archive, config.inputs)):
            start_early()
    from crawler.cli.terminal import run_command

    return run_command(config, origins=settings.origins)


def help_on(name: str | None) -> str:
    """The text of --help: on one command, on a group of options, on `all` there is, or what most need."""
    from crawler.cli.usage.help import ALL, command_help, group_help, help_text, short_help, topics

    about = {name: command.help for name, command in COMMANDS.items()}
    if name is None:
        return short_help(FLAGS, COMMON, about, EXAMPLES)
    if name == ALL:
        commands = {f"{name} {command.arguments}".rstrip(): command.help for name, command in COMMANDS.items()}
        return help_text(FLAGS, commands, EXAMPLES, EXIT_CODES)
    if name not in COMMANDS:
        return group_help(topics(FLAGS)[name], FLAGS)
    command = COMMANDS[name]
    names = {ours: f"--{theirs.replace('_', '-')}" for theirs, ours in command.calls.items()}
    taken = [
        _as_taken(option._replace(flags=(names[option.name],)) if option.name in names else option, command)
        for taken in command.takes
        for option in FLAGS
        if taken in {option.name, option.group}
        and command.implied.get(option.name) is not True
        and command.why_not(option) is None
    ]
    return command_help(f"{name} {command.arguments}".rstrip(), command.help, command.more, taken)


def _as_taken(option: Option, command: Command) -> Option:
    """An option with the default that it has with this command."""
    default, recursive = option.default, option.recursive
    if command.implied.get("recursive"):
        default, recursive = (default if recursive is None else recursive), None
    if option.name in command.implied:
        default = None
    saving, mirrored = (option.saving, option.mirrored) if OUTPUT in command.takes else (None, None)
    return option._replace(default=default, recursive=recursive, saving=saving, mirrored=mirrored)


def help_on_option(flag: str) -> str | None:
    """The text of `help --delay`; None for what is no option."""
    from crawler.cli.usage.help import option_help

    found = [option for option in FLAGS if flag in (*option.flags, *option.opposites)]
    return option_help(found[0]) if found else None


def explain(settings: Settings) -> int:
    """Show the help on the command, or the group of options, that is the input."""
    from crawler.cli.usage.help import ALL, topics

    inputs = settings.config.inputs
    if not inputs:
        return put(help_on(None))
    known = (*COMMANDS, *topics(FLAGS), ALL)
    if inputs[0] not in known:
        what = f"is no command and no group of options{suggestion(inputs[0], known)}"
        raise ConfigError(f"help: {shown(inputs[0])} {what}")
    if len(inputs) > 1:
        raise ConfigError(f"help: {shown(inputs[1])} is one word too many: crawler help {COMMANDS['help'].arguments}")
    return put(help_on(inputs[0]))


def version(settings: Settings) -> int:
    """Show the versions."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: version takes no inputs")
    return put(version_text())


NODE: Final = ("frontier", "crawl_id", "lease")
"""What a node of a crawl over many machines takes."""
_CRAWL: Final = ("frontier", "crawl_id")
_FETCHING: Final = (REQUEST, LOGIN, PROXIES, ADDRESSES, POLITENESS, LIMITS)

COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(
        "Fetch the good and bad pages of the built-in site; no internet needed",
        demo,
        takes=(*_FETCHING, OUTPUT, PEOPLE, MONITORS),
        more="The site listens on this machine while the run lasts, and brings its own URLs. Options of a run may be "
        "tried on it.",
    ),
    "run": Command(
        "Run the spider in a file of Python",
        run,
        "FILE [NAME] [KEY=VALUE]... [OPTION]...",
        (*_FETCHING, CRAWL, EXTRACTION, OUTPUT, JOB, *NODE, PEOPLE, MONITORS),
        "The spider is the call of crawl() in the file, which is run as far as that, or its class of Spider. NAME "
        "chooses one of several: a class, or a function that calls crawl(). KEY=VALUE are its arguments. Options win "
        "over those in the file. Records go where -o says, items where --items does; what the file itself does with "
        "the records is not done.",
        {"recursive": True},
    ),
    "doctor": Command(
        "Try every fault of the built-in site on this machine; no internet needed",
        doctor,
        "[-q]",
        ("quiet",),
        "Says of each fault what became of it and whether that is what is promised. Exits with 1 when one is not.",
    ),
    "check": Command(
        "Find broken links: crawl a site, and ask every link that leaves it once",
        check,
        "[OPTION]... URL|FILE|FOLDER...",
        (CHECK, CRAWL, *_FETCHING, CACHE, JOB, *CHECK_TAKES, PEOPLE, MONITORS),
        "Of URLs the pages in their --scope are read, and all that these link to is asked for; so are the pages of "
        "FOLDERs, HTML and Markdown, and those that are named alone. Of other FILEs each URL is asked for. Exits with "
        "3 when a link is broken. Links that may be good another day (429, 5xx, a timeout) are asked again at the end, "
        "and only told. -o FILE writes what was found, in the format of its suffix (.json, .xml, .sarif, .md, .txt), "
        "--report FILE.html a page with tables.",
        implied={"recursive": True, "links": ()},
        calls={"accept": "accept_status"},
        refuses=CHECK_REFUSES,
    ),
    "shell": Command(
        "Open a Python prompt with a fetched page and its selector",
        shell,
        "[OPTION]... URL [FILE.py [NAME]]",
        (*_FETCHING, "quiet"),
        "The prompt knows page, record, selector, css, xpath, urljoin and fetch; with the FILE of a spider, as `run` "
        "takes it, its names as well, and scrape(), which shows what its parse makes of the page. It is IPython or "
        "ptpython where one "
        "of them is installed; lines may come through a pipe, too.",
    ),
    "attach": Command(
        "Watch and steer a run that has a --console",
        attach,
        "PATH",
        more="PATH is what that run was given: a socket file, or HOST:PORT. `help` lists what may be typed; lines may "
        "come through a pipe: echo status | crawler attach PATH",
    ),
    "status": Command(
        "Say how a job stands, or a crawl over many machines, also while it runs",
        partial(about_job, "status"),
        "DIR|--frontier URL --crawl-id NAME",
        _CRAWL,
        "DIR is the folder of --job. Shows what has become of its inputs, and what is left of each host; of a crawl "
        "over many machines also its nodes, and what its Redis takes.",
    ),
    "verify": Command(
        "Check the books of a job, or of a crawl over many machines, against its outputs",
        partial(about_job, "verify"),
        "DIR",
        _CRAWL,
        "DIR is the folder of --job. Reads every output again and says what is not as it was written. Exits with 5 "
        "when something is wrong. With --frontier and --crawl-id DIR is the folder of the parts (-o).",
    ),
    "retry": Command(
        "Queue the URLs that failed again, or those that ended with some error codes",
        partial(about_job, "retry"),
        "DIR [CODE]...",
        _CRAWL,
        "DIR is the folder of --job. The command that began the job then fetches them. With --frontier and --crawl-id "
        "DIR is the folder of the parts, and nodes fetch them, those at work or the next; `collect` takes the new "
        "records.",
    ),
    "why": Command(
        "Tell what a job knows of a URL: who linked it, what decided, each request",
        partial(about_job, "why"),
        "[DIR] URL",
        (*_FETCHING, *_CRAWL, "config"),
        "DIR is the folder of --job. Without: what would hold for the URL, and which option or table of [hosts] says "
        "so. With --frontier and --crawl-id: where it waits in that crawl, and who has it; in DIR, the folder of the "
        "parts, its records are looked for.",
    ),
    "report": Command(
        "Make a page with plots and tables of a run",
        report,
        "FILE|DIR [-O HTML]",
        ("output", "overwrite_output"),
        "FILE is an output of a run, in JSON Lines or CSV; DIR is the folder of --job. Without -o or -O the page goes "
        "beside it, with the suffix .html.",
    ),
    "diff": Command(
        "Say what is new, gone or changed between two runs",
        diff,
        "OLD NEW [-o FILE]",
        ("output", "overwrite_output"),
        "OLD and NEW are outputs in JSON Lines, or folders of --job; of a job that was run `again` one folder is "
        "enough. -o FILE.jsonl writes JSON Lines (-o - to standard output), -o FILE.html a page. Exits with 1 when "
        "something differs.",
    ),
    "wacz": Command(
        "Make a WACZ of archives: one file that a browser shows",
        wacz,
        "WARC... [-o FILE.wacz]",
        ("output", "overwrite_output", "quiet"),
        "WARC are outputs of a run (-o site.warc.gz), or archives of other programs. Without -o or -O the file goes "
        "beside the first one, with the suffix .wacz. replayweb.page shows it, and `crawler FILE.wacz` reads it.",
    ),
    "again": Command(
        "Run a finished job once more, as far as its pages have changed",
        again,
        "DIR [OPTION]...",
        AGAIN_TAKES,
        "DIR is the folder of --job. What it has is kept: its outputs get a number (records.1.jsonl), its books go "
        "into DIR/history. The options are those of the job; those below may be others.",
    ),
    "split": Command(
        "Cut lists of any length into shards, for many processes or machines",
        split,
        "FILE|-... [--shards N] -o DIR",
        (SHARDS, "column", "keep_columns", "default_scheme", "output", "overwrite_output", "quiet"),
        "What belongs to one registrable domain (example.co.uk) comes into one shard. A domain that is too large for "
        "one has its own, before all others: by host as many as it needs, for a host is never in two. DIR gets the "
        "shards and, last, manifest.json. DIR may be s3://bucket/prefix. The shards hold what the inputs hold, also "
        "passwords.",
    ),
    "work": Command(
        "Do a shard: fetch its URLs, and write its part when that is whole",
        work,
        "DIR --shard N -o OUT [OPTION]...",
        (SHARDS, CRAWL, *_FETCHING, EXTRACTION, CACHE, "output", "fields", "bodies", PEOPLE, MONITORS),
        "DIR is the folder that `crawler split` wrote; OUT, which may be s3://bucket/prefix, is that of all parts. "
        "A shard whose part is there is done; one that another process has a lease of is waited for. A process that is "
        "killed leaves nothing that counts: start it again.",
    ),
    "collect": Command(
        "Check the parts of all shards, or of a crawl over many machines, and join them",
        collect,
        "OUT [DIR] [-o FILE]",
        (*_CRAWL, "output", "overwrite_output", "items", "csv_raw", "csv_bom", "quiet"),
        "OUT is the folder of the parts. -o FILE.jsonl joins them (also .jsonl.gz and .jsonl.zst, - for standard "
        "output, and the tables that runs write: .csv, .parquet, .sqlite, .duckdb), --items what pages gave. Where "
        "something is missing or double nothing is written, and it exits with 5; with DIR, the folder of the shards, "
        "it says which lines these are. With --frontier and --crawl-id OUT is the folder that the nodes write to; "
        "while they do, what counts so far is joined.",
    ),
    "forget": Command(
        "Delete a crawl over many machines from its Redis; its parts stay",
        forget,
        "--frontier URL --crawl-id NAME [--yes]",
        (*_CRAWL, "yes"),
        "What is deleted is what waits, what is known, and what counts of the parts: `crawler collect` first. While a "
        "node is at work on it, nothing is.",
    ),
    "init": Command(
        "Write a file with every option, commented out, to be filled in",
        init,
        "[-o FILE.toml]",
        ("output", "overwrite_output", "quiet"),
        "Without -o the file is crawler.toml; one that is there is left alone, unless -O names it. Options hold where "
        "the file is named: crawler --config crawler.toml urls.txt",
    ),
    "help": Command(
        "Show the options of one command or group, one option, or all", explain, "[COMMAND|GROUP|OPTION|all]"
    ),
    "version": Command("Show the versions of this program and its libraries", version, ""),
}
