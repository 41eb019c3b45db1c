"""The fault table is whole: each of its rows, 1 to 105, is a case of the suites named here or has a test of its own.

Most rows are FAULTS of the built-in site, which carry their numbers; here stand the others, and the rows that the design
changed, with the reason.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from test_faults_crawl import ROBOTS
from test_faults_http2 import NAMES as OVER_HTTP2
from test_faults_names import FAILURES, HOSTS, IMPOSSIBLE
from test_faults_tls import HANDSHAKES

from crawler.site import FAULTS

TESTS = Path(__file__).parent
LAST = 105

# Tables of cases that carry the row's number in front.
SUITES = {
    "test_faults_names::test_names_that_do_not_resolve": FAILURES,
    "test_faults_names::test_hosts_that_browsers_fetch": HOSTS,
    "test_faults_names::test_urls_that_are_none": IMPOSSIBLE,
    "test_faults_tls::test_handshake_gets_its_record": HANDSHAKES,
    "test_faults_crawl::test_robots": ROBOTS,
    "test_faults_http2::test_fault_gets_its_record": {name: fault for name, fault in OVER_HTTP2.items() if fault.row},
}

# Rows that are no case of a suite, or that have more to them.
TESTED = {
    1: ["test_faults_names::test_an_unknown_name_is_asked_for_once_more"],
    2: ["test_faults_names::test_a_name_that_recovers", "test_connect_resolver::test_names_that_hang_do_not_hold_up_the_others"],
    3: ["test_connect_resolver::test_rows_that_make_no_sense"],
    4: ["test_faults_names::test_no_descriptor_for_a_look_up", "test_loop::test_a_shortage_of_descriptors_pauses_everything"],
    7: ["test_connect_resolver::test_root_dot_is_the_systems_business", "test_urls::test_parts"],
    10: ["test_faults_names::test_userinfo", "test_urls::test_redacted_urls_have_no_userinfo", "test_security::test_userinfo_is_nowhere"],
    11: ["test_security::test_discovered_hosts"],
    12: ["test_faults_names::test_a_mapped_address", "test_connect_address::test_disguise_changes_nothing"],
    14: ["test_faults_names::test_a_port_without_a_server", "test_faults::test_ports_that_do_not_answer"],
    15: ["test_faults_names::test_addresses_that_are_dead", "test_faults::test_ports_that_do_not_answer"],
    16: ["test_faults_names::test_a_network_that_is_not_there", "test_errors::test_why_there_is_no_connection"],
    17: ["test_faults_names::test_addresses_that_are_dead", "test_http11_endpoint::test_good_after_dead"],
    21: ["test_faults::test_stale_connection_costs_no_attempt", "test_turns::test_stale"],
    22: ["test_http11_agent::test_other_methods_are_not_sent_again"],
    32: ["test_faults::test_late_bytes_are_nobodys_answer", "test_http11_connection::test_bytes_on_an_idle_connection_close_it", "test_turns::test_the_rest_of_the_answer_before"],
    56: ["test_jar::test_any_bytes_are_kept", "test_client::test_cookies_are_nobodys_business"],
    62: ["test_faults::test_bombs_are_cut_at_the_limit", "test_decode::test_ratio"],
    63: ["test_seeds::test_a_bomb_stays_small", "test_sitemaps::test_size", "test_faults_crawl::test_a_sitemap_that_is_a_bomb"],
    73: ["test_faults::test_headers_do_not_follow_to_another_origin", "test_fetch::test_secrets_never_cross_an_origin"],
    74: ["test_faults::test_every_redirect_status_is_followed", "test_redirect::test_each_hop_is_the_base_of_the_next"],
    75: ["test_redirect::test_the_method_after_it", "test_requests::test_redirects"],
    76: ["test_faults_crawl::test_refreshes_are_links"],
    77: ["test_faults_crawl::test_every_check_on_every_hop", "test_faults::test_redirect_to_a_private_address_is_blocked"],
    78: ["test_http11_tls::test_dates", "test_http11_tls::test_issuers"],
    80: ["test_http11_tls::test_no_usable_name", "test_http11_tls::test_malformed_name"],
    84: ["test_faults_tls::test_weak_keys_are_refused", "test_http11_tls::test_versions"],
    85: ["test_jar::test_what_belongs_to_nobody_is_refused", "test_jar::test_its_own_name_is_the_host_alone"],
    86: ["test_jar::test_host", "test_jar::test_over_http_it_is_refused", "test_jar::test_it_is_left_alone_by_http"],
    87: [
        "test_jar::test_of_an_answer",
        "test_jar::test_of_a_request",
        "test_jar::test_of_a_domain",
        "test_jar::test_20_000_domains_cost_no_more_than_20",
    ],
    88: ["test_faults_crawl::test_robots_without_an_answer", "test_robots::test_a_server_error_denies_all"],
    89: ["test_robots::test_five_are_followed_even_to_other_hosts", "test_robots_rules::test_hostile_files_cost_little", "test_robots_match::test_half_a_megabyte_of_anything"],
    90: ["test_faults_crawl::test_entities_in_a_sitemap", "test_sitemaps::test_entities_are_refused"],
    91: [
        "test_faults_crawl::test_indexes_that_name_each_other",
        "test_faults_crawl::test_an_endless_row_of_indexes",
        "test_faults_crawl::test_a_sitemap_that_is_a_bomb",
        "test_sitemaps::test_entries",
        "test_sitemaps::test_entries_of_nothing",
        "test_sitemaps::test_no_tree_is_built",
    ],
    92: ["test_faults_crawl::test_markup_that_parsers_choke_on", "test_parsing::test_hostile_but_possible"],
    93: ["test_faults_crawl::test_markup_that_parsers_choke_on", "test_parsing::test_a_page_that_takes_too_long_ends_its_child"],
    94: ["test_faults_crawl::test_a_page_with_too_many_links", "test_links::test_huge_pages", "test_discovery::test_a_long_page"],
    95: ["test_faults_crawl::test_charsets_that_lie", "test_charset::test_other_labels_are_refused", "test_charset::test_no_declared_charset_costs_seconds"],
    96: ["test_faults_crawl::test_bodies_that_are_no_text", "test_sinks_formats::test_lone_surrogates", "test_models::test_any_body"],
    97: ["test_faults_crawl::test_traps_end", "test_scope::test_traps"],
    98: ["test_faults_crawl::test_endlessly_many_pages", "test_crawl_mode::test_not_one_more"],
    99: ["test_politeness::test_retry_after_blocks_the_whole_host", "test_retry::test_beyond_the_cap_the_url_is_parked"],
    101: ["test_terminal::test_hostile_text", "test_printable::test_result_is_safe", "test_security::test_no_escape_reaches_a_person"],
    102: ["test_sinks_formats::test_formula_guard", "test_security::test_formulas"],
    103: ["test_http11_connection::test_fields_are_told_as_they_were_sent"],
    104: ["test_sinks_bodies::test_named_by_hash", "test_security::test_file_names"],
    105: ["test_reactors::test_time_is_monotonic", "test_frontier_sqlite::test_a_clock_that_was_set_back_holds_nothing_up_for_years"],
}  # fmt: skip

CHANGED = {
    12: "an IPv6 zone is refused in a typed URL; where the system's resolver gives one, it is dialled for typed URLs alone",
    22: "what is not idempotent goes over no connection that was idle for a second; if it is stale all the same, that is "
    "an error, and is not sent twice",
    29: "a body that only the end of the connection frames is kept, with the warning no_close_notify, as browsers and "
    "curl keep it; one with a length or in chunks that is cut stays body_truncated",
    34: "a Content-Length that nobody can read is none: the body ends with the connection, with the warning bad_framing",
    39: "what is meant by chunks that break the grammar is read, with the warning bad_framing; a size that is none, or a "
    "chunk that is longer than its size, stays http_bad_chunk",
    44: "a hundred interim answers are taken",
    49: "any number of empty lines before the status line is ignored, up to the limit of lines",
    51: "blanks before the colon are taken off (RFC 9112 section 5.1), with the warning bad_header",
    48: "600 to 999 are kept with the warning unusual_status, which 100 to 599 are not",
    58: "gzip that is cut is body_truncated, gzip that is wrong decode_error; what was decoded until then is kept. Where "
    "only the checksum is missing, or only the transfer was cut, the body is whole, with a warning",
    65: "with the same cookies a URL is asked once more, if one was set or the way led over another URL; the broken "
    "body of a redirect is noted, and the redirect followed",
    61: "more than three codings are refused; three are decoded",
    87: "a jar of no more than one URL's redirects is on, also for crawls; one for the run is there when it is asked for",
    88: "robots.txt is asked for again as often as --retries says; then its URLs are skipped as robots_unreachable, which "
    "is transient: `crawler retry` queues them again",
    91: "no depth of indexes is counted: each sitemap is a URL, known once, and --depth and --max-pages hold for it",
    93: "links are found by a scanner that is linear in attributes; a tree is made for extraction alone, in a process "
    "that --parse-timeout ends",
    97: "segments may repeat three times; pages of the same content are recorded with duplicate_of and followed no less",
    98: "there are no budgets for each host: --max-pages, --depth, --scope and --exclude bound a crawl",
    99: "the cap is 120 s; a status of 429 is an answer and is recorded as one, after the retries",
    100: "error is null for every status, also after the last retry; --fail and record.ok tell the difference",
    103: "WARC is not written yet; the bytes of the headers are kept as they were sent, for it",
    104: "there is no mirrored tree: a file is named by its content's hash, whatever the URL says",
}

# What is no row: the machine's own faults. design.md, section 6.
MACHINE = {
    "kill -9 at any instant": ["test_job::test_kill_dash_nine", "test_crawl_sites::test_a_crawl_that_is_killed_again_and_again"],
    "a full disk": ["test_crawl_sites::test_a_full_disk_ends_the_run_and_the_next_one_goes_on", "test_job::test_a_full_disk_under_the_database", "test_terminal::test_a_full_disk"],
    "Ctrl-C and SIGTERM": ["test_terminal::test_the_first_signal_drains", "test_crawl_sites::test_a_signal_puts_back_what_is_in_the_air"],
    "two processes on one job": ["test_crawl_sites::test_two_processes_do_not_work_on_one_job"],
    "a reader that goes away": ["test_terminal::test_a_reader_that_goes_away"],
    "few descriptors": ["test_api::test_concurrency_keeps_to_the_descriptors", "test_connect_dial::test_out_of_descriptors"],
    "no more threads": ["test_api::test_no_more_threads", "test_connect_resolver::test_no_more_threads"],
}  # fmt: skip


def cases(row: int) -> list[str]:
    """The cases of the suites that carry this number."""
    found = [f"/fault/{name}" for name, fault in FAULTS.items() if row in fault.rows]
    return found + [name for suite in SUITES.values() for name, (number, *_) in suite.items() if number == row]


@cache
def functions_of(module: str) -> frozenset[str]:
    (path,) = TESTS.rglob(f"{module}.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", range(1, LAST + 1))
def test_no_row_is_missing(row):
    """Each row has a case or a test."""
    assert cases(row) or TESTED.get(row)


def test_every_named_test_exists():
    """What the tables name is there, and is a test."""
    named = [*SUITES, *(test for tests in [*TESTED.values(), *MACHINE.values()] for test in tests)]
    for name in named:
        module, _, test = name.partition("::")
        assert test.startswith("test_"), name
        assert test in functions_of(module), name


def test_what_was_changed_has_a_test_and_a_reason():
    """A row that the design changed is still tested, for what it became."""
    for row, reason in CHANGED.items():
        assert 1 <= row <= LAST
        assert cases(row) or TESTED[row]
        assert len(reason) > 20


def test_every_number_is_a_row():
    """No case carries a number that the table does not have."""
    numbers = {row for fault in FAULTS.values() for row in fault.rows} | {*TESTED}
    numbers |= {number for suite in SUITES.values() for number, *_ in suite.values()}
    assert numbers <= set(range(1, LAST + 1))
