"""What the command line says about a crawl that many machines work on: as of a job, over all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Final

from rich.text import Text

from crawler.cli.commands.telling import NOT_WELL, Answer, check_codes, equation, indented, rendered, tell
from crawler.cluster.shared.collecting import collect
from crawler.cluster.shared.options import read_options
from crawler.cluster.shared.retrying import queue_again
from crawler.cluster.shared.status import Status, read_status
from crawler.cluster.shared.story import MOST, Stories, Waiting
from crawler.cluster.shared.story import tell as tell_all
from crawler.config.config import Config, ConfigError
from crawler.frontier.shared.contract import Counts, HostBooks, StoreError, StoreRefusedError
from crawler.frontier.shared.redis import RedisStore
from crawler.models import Request
from crawler.monitor.units import amount, duration, rate, size, urls
from crawler.printable import printable
from crawler.redaction import discreet, scrub
from crawler.sinks.joining import Form
from crawler.store.database import Books

_HOST: Final = 46
_USAGE: Final = {"status": "status", "verify": "verify DIR", "retry": "retry DIR [CODE]...", "why": "why [DIR] URL"}
_NAME: Final = 28
_PATIENCE: Final = 10.0


def answer(command: str, config: Config) -> Answer:
    """Do what a command says about the crawl of --frontier and --crawl-id.

    Raises ConfigError for arguments that make no sense and a store that cannot be asked, CodedError for what the disk
    does.
    """
    with opened(config) as store:
        status = read_status(store, store.memory)
        _check_there(config, status)
        match command, *config.inputs:
            case ["verify", *folders]:
                return _verify(store, _folder(command, folders))
            case ["retry", *words]:
                return _retry(store, _folder(command, words[:1]), tuple(words[1:]))
            case ["why", url]:
                return _why(store, url, None)
            case ["why", folder, url]:
                return _why(store, url, folder)
            case ["status"]:
                return Answer(rendered(_status(config, status)))
            case _:
                raise ConfigError(f"{command}: crawler {_USAGE[command]} --frontier URL --crawl-id NAME")


@contextmanager
def opened(config: Config) -> Iterator[RedisStore]:
    """The store that is named. What goes wrong with it is raised as ConfigError."""
    if config.frontier is None or config.crawl_id is None:
        raise ConfigError("which crawl? (--frontier redis://HOST/0 --crawl-id NAME)")
    try:
        with closing(RedisStore(config.frontier.reveal(), config.crawl_id, timeout=_PATIENCE)) as store:
            yield store
    except (StoreError, StoreRefusedError) as error:
        raise ConfigError(f"--frontier: {error}") from error


def check_joined(config: Config) -> None:
    """A node without inputs has a crawl to join. Raises ConfigError where there is none."""
    with opened(config) as store:
        if not read_status(store).is_there:
            words = f"there is no crawl {config.crawl_id} at {config.frontier} that a node could join without inputs"
            raise ConfigError(f"{words} (name files of URLs, or URLs, and it begins)")


def _folder(command: str, arguments: Sequence[str]) -> str:
    if len(arguments) != 1:
        words = f"{len(arguments)} folders, and there should be one: what the nodes were given with -o"
        raise ConfigError(f"{command}: {words}")
    return arguments[0]


def books_of(counts: Counts) -> Books:
    """As of a job: what has moved to another host has arrived twice."""
    inputs = counts.arrived - counts.moved
    pending = counts.queued + counts.leased + counts.moving
    return Books(inputs, counts.ok, counts.failed, counts.skipped, pending)


# status


def _status(config: Config, status: Status) -> Iterator[Text]:
    counts = status.counts
    there = [node for node in status.nodes if not node.gone]
    yield Text(f"{config.crawl_id} at {printable(str(config.frontier))}", "bold")
    yield Text(f"At work: {_nodes(len(there))}" if there else "No node is at work on it")
    yield Text()
    yield equation(books_of(counts))
    if counts.pending:
        moving = f", {amount(counts.moving)} on their way to another host" if counts.moving else ""
        yield Text(f"of the pending {amount(counts.queued)} are queued, {amount(counts.leased)} leased{moving}")
    if status.rate:
        eta = f"; what is pending takes {duration(counts.pending / status.rate)} at that rate" if counts.pending else ""
        yield Text(f"{rate(status.rate)}{eta}")
    hosts = f"{amount(counts.hosts)} {'host has' if counts.hosts == 1 else 'hosts have'} something to do"
    yield Text(f"{hosts}, {amount(counts.hosts_leased)} leased; {amount(counts.known)} URLs are known")
    if status.parts:
        yield Text(f"{amount(status.parts)} {'part' if status.parts == 1 else 'parts'}, {size(status.size)} that count")
    for server in status.memory:
        most = f" of {size(server.most)}" if server.most else ""
        yield Text(f"{printable(server.server)} uses {size(server.used)}{most}")
    yield from _node_rows(status)
    yield from _host_rows(status)


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{amount(number)} nodes"


def _node_rows(status: Status) -> Iterator[Text]:
    if not status.nodes:
        return
    now = time.time()
    yield Text()
    yield Text(f"{'Nodes':<{_NAME}}{'for':>12}{'done':>12}{'rate':>9}{'hosts':>8}{'in flight':>11}", "bold")
    for node in status.nodes:
        about = node.about
        name = f"  {printable(about.name, _NAME - 3):<{_NAME - 2}}"
        if node.gone:
            yield Text(f"{name}{amount(about.done):>24}   gone for {duration(-node.left)}", "yellow")
            continue
        since = duration(max(0.0, now - about.since)) if about.since else ""
        numbers = f"{amount(about.done):>12}{rate(about.rate):>9}{amount(about.hosts):>8}{amount(about.in_flight):>11}"
        yield Text(f"{name}{since:>12}{numbers}")


def _host_rows(status: Status) -> Iterator[Text]:
    if not status.hosts:
        return
    yield Text()
    yield Text(f"{'Left':<{_HOST}}{'URLs':>12}{'wait':>10}  leased by", "bold")
    for host in status.hosts:
        name = printable(host.host, _HOST - 2) or "(lines that are no URLs)"
        wait = duration(host.wait) if host.wait > 0 else ""
        row = f"  {name:<{_HOST - 2}}{amount(host.queued + host.leased):>12}{wait:>10}  {printable(host.node)}"
        yield Text(row.rstrip())
    more = status.counts.hosts - len(status.hosts)
    if more > 0:
        yield Text(f"  and {amount(more)} more {'host' if more == 1 else 'hosts'}")


# collect, verify, retry, forget


def collected(config: Config, to: str | None) -> Answer:
    """Write the records that count as one file, unless something is wrong. Raises ConfigError, CodedError."""
    with opened(config) as store:
        _check_there(config, read_status(store))
        found = collect(
            store,
            _folder("collect", config.inputs),
            to,
            replace=bool(config.overwrite_output),
            items=config.items,
            form=Form(raw=config.csv_raw, bom=config.csv_bom),
            records_skips=not read_options(store).omits_skips,
        )
    notes = [printable(discreet(note)) for note in found.notes]
    if found.problems:
        return Answer("\n".join([*map(printable, map(discreet, found.problems)), *notes]), NOT_WELL)
    counts = found.counts
    of = f"{amount(found.records)} {'record' if found.records == 1 else 'records'}"
    of += f", {amount(found.inputs)} of inputs and {amount(found.records - found.inputs)} of links"
    words = f"Every URL that has ended has one record: {of}"
    if counts.pending:
        words = f"So far, for the crawl has not ended ({amount(counts.pending)} URLs are pending): {of}"
    return Answer("\n".join([words, *notes]))


def forget(config: Config) -> Answer:
    """Delete all that the store has of the crawl. Its parts stay. Raises ConfigError."""
    with opened(config) as store:
        status = read_status(store)
        _check_there(config, status)
        there = [node for node in status.nodes if not node.gone]
        if there:
            raise ConfigError(f"forget: {_nodes(len(there))} at work on {config.crawl_id} (stop them first)")
        store.forget()
    return Answer(f"{config.crawl_id} is forgotten. Its parts are where they were.\n")


def _check_there(config: Config, status: Status) -> None:
    if not status.is_there:
        raise ConfigError(f"there is no crawl {config.crawl_id} at {config.frontier}")


def _verify(store: RedisStore, folder: str) -> Answer:
    found = collect(store, folder, None, records_skips=not read_options(store).omits_skips)
    notes = [Text(printable(discreet(note)), "yellow") for note in found.notes]
    if found.problems:
        problems = [Text(printable(discreet(problem))) for problem in found.problems]
        return Answer(rendered([*problems, *notes]), NOT_WELL)
    words = f"{amount(found.records)} {'record' if found.records == 1 else 'records'} that count"
    return Answer(rendered([Text("OK: ", "bold green") + equation(books_of(found.counts)), Text(words), *notes]))


def _retry(store: RedisStore, folder: str, codes: tuple[str, ...]) -> Answer:
    check_codes(codes)
    found = queue_again(store, folder, codes)
    lines = []
    if found.sending:
        lines.append(f"{urls(found.sending)} with something to send cannot be: records do not have that.")
    if found.urls:
        words = f"{urls(found.urls)} {'is' if found.urls == 1 else 'are'} queued again"
        lines.append(f"{words}: nodes fetch them, those at work or the next to begin.")
    elif found.before:
        lines.append(f"{urls(found.before)} {'is' if found.before == 1 else 'are'} queued again already.")
    elif not lines:
        lines.append(f"No URL has ended with {' or '.join(codes)}." if codes else "No URL has failed.")
    return Answer("".join(f"{line}\n" for line in lines))


# why


def _why(store: RedisStore, text: str, folder: str | None) -> Answer:
    options = read_options(store)
    stories = tell_all(store, options, text, folder)
    lines = [Text(printable(scrub(text)), "bold")]
    for waiting in stories.waiting:
        lines += _waiting(waiting, stories)
    for found in stories.records:
        lines += tell(found.told.story())
        lines.append(Text(f"Its record is in {printable(found.where.part)} at {amount(found.where.at)}"))
    if not stories.waiting and not stories.records:
        lines += indented(_nowhere(stories, folder))
    if stories.host is not None:
        lines += _host(stories.host)
    return Answer(rendered(lines))


def _waiting(waiting: Waiting, stories: Stories) -> Iterator[Text]:
    host = stories.host
    duplicate = "; the same URL came before: it gets its record, and is not fetched" if waiting.is_duplicate else ""
    if waiting.state == "leased" and host is not None and host.node:
        until = f"until {duration(max(0.0, host.expires))} from now, or longer"
        yield from indented(f"leased by {printable(host.node)} {until}{duplicate}")
    else:
        ahead = waiting.ahead - (host.leased if host is not None else 0)
        place = "the next of its host" if ahead <= 0 else f"{amount(ahead)} of its host go before it"
        yield from indented(f"queued: {place}{duplicate}")
    of = waiting.what.input
    if of.parent is not None:
        yield from indented(f"linked from {printable(of.parent)}")
    elif of.source is not None:
        yield from indented(f"came from {printable(of.source)}" + ("" if of.line is None else f":{of.line}"))
    if isinstance(waiting.what, Request) and waiting.what.redirects:
        yield from indented(
            f"led there by {len(waiting.what.redirects)} redirects, from {printable(waiting.what.written)}"
        )


def _nowhere(stories: Stories, folder: str | None) -> str:
    """Why there is neither a wait nor a record."""
    if stories.url is None:
        return "It is no URL that could be fetched, and no input that waits."
    if not stories.is_known:
        return "The crawl does not know it: no page that was read links to it, or it is not in the scope."
    if folder is None:
        return (
            "The crawl knows it, and it does not wait: it has ended. With the folder of the parts its record is told."
        )
    if stories.looked_at >= MOST:
        return f"The crawl knows it. It is not among the first {amount(MOST)} URLs of its host, and has no record yet."
    if stories.host is not None and stories.host.spilled:
        return "The crawl knows it, and it has no record yet: it may wait in the files of its host."
    words = "The crawl knows it, and it has no record: it was skipped without a request, or another URL was led there"
    return f"{words}; or it is on its way from one host to another."


def _host(host: HostBooks) -> Iterator[Text]:
    yield Text(f"Host {printable(host.host)}", "bold")
    spilled = f", {amount(host.spilled)} of them in files" if host.spilled else ""
    yield Text(f"  {amount(host.queued)} queued{spilled}, {amount(host.leased)} leased")
    if host.node:
        yield Text(f"  leased by {printable(host.node)}, for {duration(max(0.0, host.expires))} more")
    elif host.wait > 0:
        yield Text(f"  it may be asked in {duration(host.wait)}")
