"""crawler/config/typed.py: what an editor knows of the options is what the tables that read them say."""

from __future__ import annotations

from typed_options import TYPED, typed_options

from crawler.config.config import NAMES
from crawler.config.hosts import KEYS
from crawler.config.typed import HostKeys, Options


def test_it_is_what_the_tables_say() -> None:
    """`python -m tests.test_docs` writes it."""
    assert TYPED.read_text(encoding="utf-8") == typed_options()


def test_every_option_is_there_and_none_has_to_be_given() -> None:
    """Those of a run, and the keys of a table of one host."""
    assert Options.__optional_keys__ == set(NAMES)
    assert HostKeys.__optional_keys__ == set(KEYS)
    assert Options.__required_keys__ == HostKeys.__required_keys__ == frozenset()
