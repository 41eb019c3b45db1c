"""The commands that fetch something, and those that talk to what fetches."""

from __future__ import annotations

from typing import Final

from crawler.cli.answers import complain, put, version_text
from crawler.config.config import NAMES, OPTIONS, Config, ConfigError, Settings, resolve
from crawler.config.options.groups import LIMITS, LOGIN, MONITORS, PEOPLE, POLITENESS, REQUEST
from crawler.config.secrets import without_hidden
from crawler.config.sources import from_file, from_keywords

AGAIN_TAKES: Final = (REQUEST, LOGIN, POLITENESS, LIMITS, PEOPLE, MONITORS)


def demo(settings: Settings) -> int:
    """Fetch the good and bad pages of the built-in site."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: demo brings its own URLs (for a file of that name: ./demo)")
    from msgspec.structs import replace

    from crawler.cli.terminal import run_command
    from crawler.site import DEMO_RETRIES, DEMO_TIMEOUT, start_demo

    config = settings.config
    # One page is slow on purpose: nobody wants to wait a minute for it.
    if "timeout" not in settings.origins:
        config = replace(config, timeout=DEMO_TIMEOUT)
    if "retries" not in settings.origins:
        config = replace(config, retries=DEMO_RETRIES)
    if not settings.origins.keys() & {"proxy", "proxy_file", "noproxy"}:
        config = replace(config, noproxy="*")  # no proxy of the environment leads to this machine
    with start_demo() as urls:
        return run_command(config, urls)


def doctor(settings: Settings) -> int:
    """Fetch every fault of the built-in site and say of each whether it became what is promised."""
    if settings.config.inputs:
        raise ConfigError(f"{settings.origins['inputs']}: doctor takes no inputs")
    from crawler.cli.doctor import Examination

    examination = Examination(versions=version_text(), quiet=settings.config.quiet)
    for text in examination.lines():
        if code := put(text):
            return code
    return examination.exit_code


def shell(settings: Settings) -> int:
    """Open a Python prompt with the page of the one URL that is the input."""
    from crawler.cli.shell import run_shell

    return run_shell(settings)


def attach(settings: Settings) -> int:
    """Talk to the console of a run."""
    from crawler.cli.attach import talk

    inputs = settings.config.inputs
    if len(inputs) != 1:
        raise ConfigError(f"attach: {len(inputs)} arguments, and there should be 1: crawler attach PATH or HOST:PORT")
    return talk(inputs[0])


_LOGINS: Final = frozenset(("user", "auth", "bearer", "netrc", "netrc_file"))


def again(settings: Settings) -> int:
    """Run the finished job that is the input once more, as far as its pages have changed."""
    from crawler.cli.terminal import run_command
    from crawler.errors import CodedError
    from crawler.job.history.again import again as put_aside

    config = settings.config
    if len(config.inputs) != 1:
        raise ConfigError(f"again: {len(config.inputs)} arguments, and there should be 1: crawler again DIR")
    folder = config.inputs[0]
    named = {
        name: getattr(config, name)
        for name in settings.origins
        if name in OPTIONS and OPTIONS[name].group in AGAIN_TAKES
    }
    try:
        how = put_aside(folder)
        since = {} if how.since is None else {"since": how.since}
        if not _LOGINS.isdisjoint(named):  # they are for URLs, too, whose own was not kept
            named["inputs"] = without_hidden(Config.kept(how.options).inputs)
        ours = from_keywords({**named, **since, "job": folder}, NAMES)
        config = resolve(ours, from_file(how.options, OPTIONS)).config
    except CodedError as error:  # the disk's doing, not the user's
        complain(str(error), log_format=config.log_format)
        return 5
    return run_command(config)
