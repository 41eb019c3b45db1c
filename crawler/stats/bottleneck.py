"""What keeps the run from being faster: one sentence, or none when nothing is sure. Pure: it does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

CPU_BOUND: Final = 0.9
_MAIN_SHARE: Final = 0.5  # a host with at least that much of the work is worth naming
_SOON: Final = 0.05  # what is ready within that many seconds does not hold anything back
_RATE: Final = ("the run is as fast as --rate or --limit-rate lets it", "--rate or --limit-rate was the limit")
_BINDS: Final = {
    "cpu": "the CPU",
    "parsing": "the parser",
    "output": "the disk",
    "concurrency": "the network",
    "per_host": "a host's limit",
    "tail": "the network",
    "retry": "retries",
    "input": "the input",
    "rate": "--rate",
}
_MAX_CAUSES: Final = 100  # a long run may meet a new one every second


class HostLoad(Protocol):
    """One host that has work left, as `Frontier.busiest` shows it. `binding` keeps it from starting one more now."""

    @property
    def key(self) -> str: ...
    @property
    def queued(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def delay(self) -> float: ...
    @property
    def binding(self) -> str | None: ...


class Bottleneck(NamedTuple):
    """`kind` and `host` name it; `sentence` says it while it lasts, `past` when the run is over."""

    kind: str
    host: str
    sentence: str
    past: str

    @property
    def binds(self) -> str:
        """In a word or two, where that is."""
        return _BINDS.get(self.kind, "a host's delay")


def bottleneck(
    *,
    hosts: Sequence[HostLoad],
    concurrency: int,
    in_flight: int,
    queued: int,
    parked: int = 0,
    ready_in: float | None = None,
    cpu: float = 0.0,
    input_read: bool = True,
    parsing: int = 0,
    full: bool = False,
    workers: Sequence[float] = (),
) -> Bottleneck | None:
    """Name what binds now.

    `hosts` are the busiest ones, not necessarily all; `ready_in` is in how many seconds the next URL may start without
    another one ending; `cpu` is how many cores this process kept busy; `input_read` says that no more URLs will come;
    `parsing` is how many of those in flight are fetched and wait for a process that reads pages; `full` says that an
    output takes no more for now. `workers` are the cores that each of the processes beside this one kept busy.
    """
    if workers and cpu >= CPU_BOUND:
        text = f"the first process binds (1 core at {percent(min(cpu, 1.0))}); more --procs will not help"
        return Bottleneck("cpu", "", text, "the first process was the limit: its core was busy")
    if workers and min(workers) >= CPU_BOUND:
        text = f"the CPU binds ({len(workers)} workers are busy); more --procs help where there are more cores"
        return Bottleneck("cpu", "", text, "the CPU was the limit: all workers were busy")
    if cpu >= CPU_BOUND:
        # One reactor thread does the work, so more than one core means helpers beside a full one.
        text = f"the CPU binds (1 core at {percent(min(cpu, 1.0))}); more --concurrency will not help"
        return Bottleneck("cpu", "", text, "the CPU was the limit: one core was busy")
    if full:
        beside = "nothing" if not in_flight else f"beside what is in flight ({in_flight:,}) nothing"
        text = f"an output takes records more slowly than they come (the disk, or who reads it): {beside} is started"
        return Bottleneck("output", "", text, "an output was the limit: it took records more slowly than they came")
    if parsing and 2 * parsing >= in_flight:  # the slots and hosts that look full are full of them
        pages = "1 page waits" if parsing == 1 else f"{parsing:,} pages wait"
        text = f"{pages} for the parser; more --per-host or --concurrency will not help"
        return Bottleneck("parsing", "", text, "the parser was the limit: pages waited for it")
    full = in_flight >= concurrency
    if not queued:
        return None if full or parked else _nothing_queued(hosts, in_flight, input_read=input_read)
    later = ready_in if ready_in is not None and ready_in > _SOON else None
    waiting = [host for host in hosts if host.queued and host.binding is not None]
    unbound = queued - sum(host.queued for host in waiting)
    if full and unbound and later is None:
        now, past = f"all {concurrency:,} slots are busy", f"all {concurrency:,} slots were busy"
        if concurrency == 1:
            now, past = "the only slot is busy", "the only slot was busy"
        return Bottleneck("concurrency", "", f"{now}: --concurrency binds", f"{past}: more --concurrency may be faster")
    if not waiting:
        return None if later is None else _next_try(queued, later)
    total = queued + in_flight + parked
    group = [max(waiting, key=_work)]
    if _work(group[0]) < _MAIN_SHARE * total:
        group = _largest_group(waiting)
        if sum(host.queued for host in group) < _MAIN_SHARE * queued:
            return None  # there is no single reason
    if unbound or len(group) < len(waiting):
        later = None  # the next URL to start may be one of another host
    if len(group) > 1:
        return _several_hosts(group, later)
    held = _work(group[0])
    share = "all" if held == total else percent(held / total)
    return _one_host(group[0], f"{share} of the {'remaining' if input_read else 'queued'} work", later, full=full)


class Causes:
    """For how long each bottleneck bound, to name the main one when the run is over."""

    def __init__(self) -> None:
        self._lasted: dict[tuple[str, str], tuple[float, Bottleneck]] = {}

    def add(self, found: Bottleneck, span: float) -> None:
        """It bound for that many seconds more."""
        cause = (found.kind, found.host)
        lasted, _ = self._lasted.get(cause, (0.0, found))
        if lasted or len(self._lasted) < _MAX_CAUSES:
            self._lasted[cause] = (lasted + span, found)

    def main(self, elapsed: float) -> str:
        """The one that bound longest, if that was at least a third of the time; else ""."""
        lasted, found = max(self._lasted.values(), key=lambda cause: cause[0], default=(0.0, None))
        if found is None or 3 * lasted < elapsed:
            return ""
        return f"for {percent(min(1.0, lasted / elapsed))} of the time {found.past}"


def _work(host: HostLoad) -> int:
    return host.queued + host.in_flight


def _largest_group(waiting: Sequence[HostLoad]) -> list[HostLoad]:
    """The hosts that wait for the same reason, of the reason for which most URLs wait."""
    groups: dict[str | None, list[HostLoad]] = {}
    for host in waiting:
        groups.setdefault(host.binding, []).append(host)
    return max(groups.values(), key=lambda group: sum(host.queued for host in group))


def _nothing_queued(hosts: Sequence[HostLoad], in_flight: int, *, input_read: bool) -> Bottleneck | None:
    if not input_read:
        return Bottleneck(
            "input",
            "",
            "nothing is queued: more URLs must be read or found first",
            "nothing was queued: URLs came more slowly than they were fetched",
        )
    if not in_flight:
        return None
    last = "the last URL is" if in_flight == 1 else f"the last {in_flight:,} URLs are"
    where = f" at {host_name(hosts[0].key)}" if hosts and hosts[0].in_flight == in_flight else ""
    return Bottleneck("tail", "", f"{last} in flight{where}", "the last URLs were slow and nothing else was left")


def _next_try(queued: int, ready_in: float) -> Bottleneck:
    urls = "1 URL waits for its" if queued == 1 else f"{queued:,} URLs wait for their"
    return Bottleneck(
        "retry",
        "",
        f"{urls} next try, the first in {seconds(ready_in)}",
        "failed URLs waited for their next try (--retries)",
    )


def _one_host(host: HostLoad, share: str, wait: float | None, *, full: bool) -> Bottleneck:
    name = host_name(host.key)
    holds = f"{name} holds {share}"
    apart = f"one request every {seconds(host.delay)}"
    at_once = "1 connection" if host.limit == 1 else f"{host.limit:,} connections"
    more = "more --concurrency will not help"
    match host.binding:
        case "per_host":
            if full:
                now = f"{holds} at {at_once} and all slots are busy: --per-host and --concurrency bind together"
                past = f"{name} was at its {at_once} and all slots were busy (--per-host and --concurrency together)"
            else:
                now = f"{holds} at {at_once}; {more} (--per-host would)"
                past = f"{name} was at its {at_once}: only more --per-host would have helped"
        case "delay":
            now = f"{holds} at {apart} (--delay); {more}"
            past = f"{name} was asked only every {seconds(host.delay)} (--delay)"
        case "crawl_delay":
            now = f"{holds} at {apart}, as its robots.txt asks; {more}"
            past = f"{name} was asked only every {seconds(host.delay)}, as its robots.txt asks"
        case "retry_after":
            until = f" another {seconds(wait)}" if wait is not None else ""
            now = f"{name} asks to wait (Retry-After){until}"
            past = f"{name} asked to wait (Retry-After)"
        case "rate":
            now, past = _RATE
        case "ratelimit":
            until = f" for another {seconds(wait)}" if wait is not None else ""
            now = f"{name}'s rate limit is used up{until}"
            past = f"{name}'s rate limit was used up"
        case _:
            pace = at_once if host.in_flight >= host.limit or not host.delay else apart
            now = f"{holds} and showed signs of overload, so it is slowed down to {pace}"
            past = f"{name} showed signs of overload and was slowed down"
    return Bottleneck(host.binding or "", host.key, now, past)


def _several_hosts(group: Sequence[HostLoad], wait: float | None) -> Bottleneck:
    some = f"{len(group):,} hosts"
    match group[0].binding:
        case "per_host":
            now, past = (
                f"{some} are at their --per-host limit; more --concurrency will not help",
                "--per-host was the limit",
            )
        case "delay":
            now, past = f"{some}' --delay binds", "--delay was the limit"
        case "crawl_delay":
            now, past = f"{some}' Crawl-delay (robots.txt) binds", "the hosts' Crawl-delay (robots.txt) was the limit"
        case "retry_after":
            first = f", the first for another {seconds(wait)}" if wait is not None else ""
            now, past = f"{some} ask to wait (Retry-After){first}", "the hosts asked to wait (Retry-After)"
        case "rate":
            now, past = _RATE
        case "ratelimit":
            now, past = f"the rate limits of {some} are used up", "the hosts' rate limits were used up"
        case _:
            now = f"{some} showed signs of overload and are slowed down"
            past = "hosts showed signs of overload and were slowed down"
    return Bottleneck(group[0].binding or "", "", now, past)


def host_name(key: str) -> str:
    """`host:port` as people write it: without the port that its scheme implies."""
    return key.removesuffix(":443").removesuffix(":80")


def percent(share: float) -> str:
    """A share as people read it. 100 % is said only of all of it."""
    whole = round(100 * share)
    return f"{99 if whole == 100 and share < 1 else whole} %"


def seconds(span: float) -> str:
    return f"{span:,.0f} s" if span >= 10 else f"{span:.3g} s"
