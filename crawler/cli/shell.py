"""A Python prompt with a fetched page in hand: what to select is found out here, before it goes into a crawl.

IPython or ptpython where one is installed, else Python's own prompt. A pipe works like the prompt, without its marks.
The words of this program go to stderr; what the page is shown as is safe for a terminal, except what `print` prints.
"""

from __future__ import annotations

import asyncio
import builtins
import code
import io
import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from crawler.api import fetch_all
from crawler.config.config import OPTIONS, Config, ConfigError, Settings
from crawler.config.options.groups import ADDRESSES, LIMITS, LOGIN, POLITENESS, PROXIES, REQUEST
from crawler.errors import CodedError
from crawler.models import Record
from crawler.page.page import Page, Yielded, gather
from crawler.printable import printable
from crawler.sinks.human import format_line
from crawler.urls import Url, join, parse

if TYPE_CHECKING:
    from crawler.spiders.file import Found

FINISHED: Final = 0
NOTHING_FETCHED: Final = 3
BANNER: Final = """\
  page, record, selector    what was fetched
  css(query), xpath(query)  select in it: css("title::text").get()
  urljoin(reference)        a link of the page as a whole URL
  fetch(url)                fetch another page, or a link of this one
"""
WITH_SPIDER: Final = """\
  scrape(), scrape(func)    what the spider's parse, or another function, makes of it
"""
# Crawling, outputs and jobs have no part in this.
_GROUPS: Final = (REQUEST, LOGIN, PROXIES, ADDRESSES, POLITENESS, LIMITS)


def run_shell(settings: Settings) -> int:
    """Fetch the URL that is the first input and open the prompt; give the exit code. Raises ConfigError.

    Behind it may stand the file of a spider, whose names are at hand then, and `scrape`.
    """
    url, words = _url_and_words(settings)
    with ExitStack() as resources:
        found = None
        if words:
            from crawler.spiders.file import spider_in

            found = resources.enter_context(spider_in(words[0], words[1:]))
        shell = Shell(settings.config, found)
        if not shell.get(url):
            return NOTHING_FETCHED
        if sys.stdin is not None and sys.stdin.isatty():
            banner = "" if settings.config.quiet else BANNER if found is None else BANNER + WITH_SPIDER
            with _escaped_results():
                _prompt()(shell.names, banner)
        elif sys.stdin is not None:
            with _escaped_results():
                _piped(shell.names)
    return FINISHED


class Shell:
    """The page in hand. `names` is what the prompt knows; it changes with each page that is fetched."""

    def __init__(self, config: Config, found: Found | None = None) -> None:
        self.names: dict[str, Any] = {}
        if found is not None:
            self.names |= {name: value for name, value in found.names.items() if not name.startswith("_")}
            self.names |= {"spider": found.spider, "scrape": self.scrape}
        self._spider = None if found is None else found.spider
        self.names["fetch"] = self.fetch
        self._options = {name: getattr(config, name) for name, option in OPTIONS.items() if option.group in _GROUPS}
        self._quiet = config.quiet
        self._page: Page | None = None

    def fetch(self, url: str) -> None:
        """Fetch another page: page, record, selector, css, xpath and urljoin are then of that.

        A relative reference is to the page in hand. When nothing can be fetched, that page stays.
        """
        self.get(self._target(url))

    def scrape(self, function: Any = None) -> Yielded:
        """What a function makes of the page in hand, without one the spider's parse: its items, and where it leads.

        Items are held to the spider's model and went through its pipelines; what was left out is said on stderr. What
        the function raises is raised.
        """
        from crawler.spiders.spider import items_of

        assert self._spider is not None
        assert self._page is not None
        parse = self._spider.parse if function is None else function
        if isinstance(parse, Sequence):
            parse = parse[0]
        if parse is None:
            raise TypeError("the spider has no parse function (scrape(FUNCTION) takes another)")
        given = parse(self._page)
        if isinstance(given, (Awaitable, AsyncIterable)):
            given = asyncio.run(_arrived(given))
        yielded = gather(self._page, given, lambda callback: callback.__qualname__)
        items, warnings = items_of(self._spider)(yielded.items, self._page.url)
        for warning in warnings:
            _say(printable(warning))
        return Yielded(items, yielded.follow)

    def get(self, url: str | Url) -> bool:
        """Fetch a page and say how it went, on stderr; False if there was no answer at all."""
        (record,) = fetch_all([url], **self._options)
        if record.error is not None or not self._quiet:
            _say(format_line(record))
        if record.status is None:
            return False
        self._take(record)
        return True

    def _target(self, url: str) -> str | Url:
        if self._page is None or not isinstance(url, str):
            return url
        try:
            return join(self._page.base, url)
        except CodedError:
            return url  # its record says what is wrong with it

    def _take(self, record: Record) -> None:
        self._page = page = Page(record)
        self.names.update(
            page=page, record=record, selector=page.selector, css=page.css, xpath=page.xpath, urljoin=page.urljoin
        )


async def _arrived(given: Any) -> Any:
    return [found async for found in given] if isinstance(given, AsyncIterable) else await given


def _url_and_words(settings: Settings) -> tuple[str, Sequence[str]]:
    inputs = settings.config.inputs
    place = settings.origins.get("inputs", "INPUT")
    if len(inputs) != 1 and not (len(inputs) > 1 and inputs[1].endswith(".py")):
        raise ConfigError(f"{place}: shell wants one URL, not {len(inputs)} (crawler shell https://example.org/)")
    try:
        parse(inputs[0])
    except CodedError as error:
        raise ConfigError(f"{place}: shell wants a URL: {error.message}") from None
    return inputs[0], inputs[1:]


# --- prompts ---


def _prompt() -> Callable[[dict[str, Any], str], None]:
    """The best prompt there is; it gets the names it is to know and a banner."""
    if sys.stdout is not None and sys.stdout.isatty():
        if find_spec("IPython"):
            return _ipython
        if find_spec("ptpython"):
            return _ptpython
    return _python


def _ipython(names: dict[str, Any], banner: str) -> None:
    config = import_module("IPython.terminal.ipapp").load_default_config()
    config.TerminalInteractiveShell.banner1 = banner
    import_module("IPython").start_ipython(argv=[], user_ns=names, config=config)


def _ptpython(names: dict[str, Any], banner: str) -> None:
    _say(banner.rstrip("\n"))
    import_module("ptpython.repl").embed(names, names)


def _python(names: dict[str, Any], banner: str) -> None:
    _complete(names)
    _Console(names).interact(banner.rstrip("\n"), exitmsg="")


def _piped(names: dict[str, Any]) -> None:
    """Run the lines of standard input as if they were typed: results are printed, and an error does not end it."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line that is not UTF-8 is a mistake in that line
    console = _Pipe(names)
    unfinished = False
    try:
        for line in sys.stdin:
            unfinished = console.push(line.rstrip("\r\n"))
        if unfinished and console.push(""):  # an empty line ends a block, but no bracket
            _say("crawler: error: the input ends inside a statement")
        print(end="", flush=True)
    except BrokenPipeError:  # the reader has enough
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(code.InteractiveConsole):
    def __init__(self, names: dict[str, Any]) -> None:
        names.setdefault("__name__", "__console__")  # or classes would think that they are built in
        super().__init__(names)

    def write(self, data: str) -> None:
        """Tracebacks, which may quote the page."""
        if sys.stderr is not None:
            super().write(_printable(data))


class _Pipe(_Console):
    def showtraceback(self) -> None:
        """Of an error; Ctrl-C and a reader that has gone away end the whole."""
        error = sys.exception()
        if isinstance(error, (BrokenPipeError, KeyboardInterrupt)):
            raise error
        super().showtraceback()


def _complete(names: dict[str, Any]) -> None:
    """Tab completes names, where there is a readline. What is typed is remembered until the end, and not in a file."""
    try:
        import readline
        import rlcompleter
    except ImportError:  # Windows
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    libedit = "libedit" in (readline.__doc__ or "")  # macOS; Python 3.13 has readline.backend
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")


# --- what is shown ---


@contextmanager
def _escaped_results() -> Iterator[None]:
    """Results that a prompt prints are escaped, and what the terminal's encoding lacks as well."""
    before = sys.displayhook
    sys.displayhook = _display
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        sys.displayhook = before


def _display(value: object) -> None:
    """sys.displayhook, which shows the value of an expression and keeps it as `_`."""
    if value is None:
        return
    print(_printable(repr(value)), flush=True)
    builtins._ = value  # type: ignore[attr-defined]


def _printable(text: str) -> str:
    """Lines that are safe to show."""
    return "\n".join(map(printable, text.split("\n")))


def _say(words: str) -> None:
    if sys.stderr is not None:  # else print would take stdout
        print(words, file=sys.stderr, flush=True)
