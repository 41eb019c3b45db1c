"""The options as types, so that an editor completes and explains them, and tells a typo or a wrong type.

Written by `python -m tests.test_docs` from the tables that read the options; a test keeps it equal. Nothing here is
imported by a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Literal, TypedDict

from crawler.config.hosts import HostTable
from crawler.config.secrets import Secret
from crawler.fetch.connect.proxy import Proxy


class HostKeys(TypedDict, total=False):
    """The keys of a table in `hosts`."""

    concurrency: int
    """Fetch at most N URLs of one host at once. Takes a whole number from 1 to 10,000."""
    delay: float | str
    """Wait between the starts of two requests to one host. Takes a time from 0 to 86400 seconds (or with a unit: 500ms,
    1.5s, 2m, 1h, 1d).
    """
    rate: str
    """Start at most so many requests to each host in a time. Takes a rate (100/s, 30/m, 1000/h, 0.5/s; 1/10s is one in
    ten seconds).
    """
    robots: bool
    """Obey robots.txt."""
    timeout: float | str
    """Longest time for a fetch as a whole. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m,
    1h, 1d).
    """
    headers: str | Iterable[str | tuple[str, str] | list[str]] | Mapping[str, str]
    """Add a request header: "Name: value", or "Name;" for an empty one. Takes a header ("Name: value", or "Name;" for
    an empty one); or several.
    """
    auth: str | tuple[str, str] | Secret
    """Log in to the servers of the URLs that you give; env:NAME or @FILE keeps it out of the list of processes. Takes
    USER:PASSWORD, or where that is: env:NAME or @FILE.
    """
    proxy: str | Proxy
    """Go through this proxy: http, https, socks5 (names are looked up here) or socks5h (there). Takes the URL of a
    proxy (http://HOST:PORT; or https, socks5, socks5h), env:NAME or @FILE.
    """
    insecure: bool
    """Accept any TLS certificate."""
    cookies: Literal["chain", "run", "off"]
    """Keep cookies inside one URL's redirects (chain), for the whole run (run), or not at all (off)."""


class Options(TypedDict, total=False):
    """What fetch_all, stream, crawl and Config.build take by name. What is not given has its default."""

    inputs: str | PathLike[str] | Iterable[str | PathLike[str]]
    """Files of URLs (also s3://bucket/key), URLs, or - for standard input. Takes a file, a URL or -; or several."""
    column: str | None
    """Take URLs from this column of CSV, or key of JSON Lines. Takes one line of text."""
    keep_columns: bool
    """Keep the other columns of CSV, or keys of JSON Lines: in meta, and as columns of CSV."""
    default_scheme: Literal["https", "http", "none"]
    """What to put before lines that are plainly hosts, such as www.example.com/a. Default: https."""
    recursive: bool
    """Follow links: the inputs are where the crawl begins."""
    depth: int | None
    """Follow at most N links from an input. Takes a whole number from 0 to 1,000,000,000."""
    max_pages: int | None
    """Fetch N pages, not one more. Takes a whole number from 1 to 1,000,000,000."""
    scope: Literal["host", "origin", "domain", "prefix", "any"]
    """Follow links to the same host, origin, domain, prefix (origin and folder), or any. Default: any."""
    include: str | Iterable[str]
    """Follow only links to URLs that match REGEX. Takes a regular expression; or several."""
    exclude: str | Iterable[str]
    """Follow no links to URLs that match REGEX. Takes a regular expression; or several."""
    links: (
        str
        | Iterable[
            Literal[
                "pages",
                "images",
                "scripts",
                "styles",
                "media",
                "a",
                "area",
                "link",
                "iframe",
                "frame",
                "img",
                "script",
                "form",
                "video",
                "audio",
                "source",
                "track",
                "embed",
                "object",
                "header",
                "refresh",
            ]
        ]
    )
    """Where links are: pages, images, scripts, styles, media, or some of a, area, link, iframe, frame, img, script,
    form, video, audio, source, track, embed, object, header, refresh. Takes one of pages, images, scripts, styles,
    media, a, area, link, iframe, frame, img, script, form, video, audio, source, track, embed, object, header, refresh;
    or several. Default: a,area,refresh.
    """
    nofollow: bool
    """Follow no link of pages or rel attributes that say nofollow."""
    sitemap: str | Iterable[str]
    """Begin with the URLs of this sitemap, too. Takes a URL; or several."""
    sitemaps: bool
    """Begin with the sitemaps that robots.txt names, too, or /sitemap.xml."""
    sort_query: bool
    """Take URLs that differ in the order of their parameters for the same."""
    strip_trackers: bool
    """Take URLs that differ in utm_source, gclid and the like for the same."""
    skipped: bool
    """Write records of links that are not followed, with the reason."""
    dry_run: bool
    """Fetch the inputs alone, and say of each link whether it would be followed, and why."""
    http2: bool
    """Speak HTTP/2 with https servers that choose it."""
    https_only: bool
    """Do not follow redirects from https to http."""
    allow_private: bool
    """Let redirects and links lead to private addresses."""
    cookies: Literal["chain", "run", "off"]
    """Keep cookies inside one URL's redirects (chain), for the whole run (run), or not at all (off). Default: chain."""
    cookie: str | PathLike[str] | Iterable[str | PathLike[str] | Secret] | Mapping[str, object]
    """Begin with these cookies: NAME=VALUE for the servers of the URLs that you give, or those in FILE. Takes
    NAME=VALUE, or a file of cookies (or env:NAME, @FILE); or several.
    """
    cookie_jar: str | PathLike[str] | None
    """Keep cookies for the whole run, begin with those in FILE if it is there, and write them to it. Takes a file."""
    method: str
    """Request method; with a body it is POST unless said. Takes a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS,
    TRACE, or another token). Default: GET.
    """
    data: str | PathLike[str] | Iterable[str | PathLike[str] | tuple[Any, Any]] | Mapping[Any, Any]
    """Send TEXT or what is in FILE, as fields of a form unless a header says what it is; joined with &. Takes text, or
    @FILE; or several.
    """
    json: object
    """Send JSON, and ask for JSON. Takes JSON, or @FILE."""
    form: str | Iterable[str] | Mapping[str, object]
    """Send a form with a field, or with a file: multipart/form-data; ;type= and ;filename= as in curl. Takes a field of
    a form (NAME=TEXT, NAME=@FILE, or NAME=<FILE for what is in a file as text); or several.
    """
    head: bool
    """Ask for the headers alone (HEAD), with GET where a server refuses that."""
    referer: str | None
    """Say where the URL was found. Takes a URL (http:// or https://)."""
    range: str | None
    """Ask for these bytes of a file: 0-499, 500-, -500. Takes a range of bytes (0-499 the first 500, 500- all after
    these, -500 the last 500).
    """
    headers: str | Iterable[str | tuple[str, str] | list[str]] | Mapping[str, str]
    """Add a request header: "Name: value", or "Name;" for an empty one. Takes a header ("Name: value", or "Name;" for
    an empty one); or several.
    """
    user_agent: str
    """Say who asks, best with an address: "name (+https://...)". Takes one line of text. Default: crawler/0.1.0."""
    ws_messages: int
    """Take N messages of each ws:// or wss:// URL. Takes a whole number from 0 to 10,000. Default: 1."""
    ws_timeout: float | str
    """Wait at most so long for these messages. Takes a time from 0 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m,
    1h, 1d). Default: 10s.
    """
    insecure: bool
    """Accept any TLS certificate."""
    insecure_host: str | Iterable[str]
    """Accept any TLS certificate of this host. Takes a host (example.com or example.com:8443); or several."""
    cacert: str | PathLike[str] | None
    """Trust the authorities in FILE in place of the system's. Takes a file of certificates in PEM."""
    cert: str | Secret | None
    """Show this certificate to the hosts of the URLs that you give, when asked (or FILE:env:NAME, FILE:@FILE). Takes a
    file, or FILE:PASSWORD (FILE:env:NAME, FILE:@FILE).
    """
    key: str | PathLike[str] | None
    """The private key of cert, where it is not in the same file. Takes a file with a private key in PEM."""
    pinnedpubkey: str | Iterable[str]
    """Talk to servers (or this one) only if their public key is one of these. Takes sha256//HASH of a public key, or
    several with ; between them (HOST=sha256//... for one server); or several.
    """
    tls_legacy: bool
    """Talk TLS to servers that know no secure renegotiation (RFC 5746), too."""
    user: str | tuple[str, str] | Secret | None
    """Log in to the servers of the URLs that you give; env:NAME or @FILE keeps it out of the list of processes. Takes
    USER:PASSWORD, or where that is: env:NAME or @FILE.
    """
    auth: str | Iterable[str | Secret]
    """Log in to this one server, as in https://example.org=joe:secret (or ORIGIN=env:NAME, ORIGIN=@FILE). Takes
    ORIGIN=USER:PASSWORD, as https://example.org=joe:secret (or ORIGIN=env:NAME, ORIGIN=@FILE); or several.
    """
    bearer: str | Secret | None
    """Send this token to the servers of the URLs that you give (or env:NAME, @FILE). Takes a token of ASCII without
    spaces, or where it is: env:NAME or @FILE.
    """
    digest: bool
    """Never send a password itself: answer servers that ask for Digest, and no others."""
    netrc: bool
    """Log in with what ~/.netrc (or the file that NETRC names) has for a host."""
    netrc_file: str | PathLike[str] | None
    """As netrc, with this file. Takes a file."""
    proxy: str | Proxy | None
    """Go through this proxy: http, https, socks5 (names are looked up here) or socks5h (there). Takes the URL of a
    proxy (http://HOST:PORT; or https, socks5, socks5h), env:NAME or @FILE.
    """
    proxy_file: str | PathLike[str] | None
    """Go through these proxies in turn, one a line. Takes a file."""
    noproxy: str | list[str] | tuple[str, ...] | None
    """Reach these hosts directly, as with NO_PROXY; '*' is all of them. Takes a list of hosts (example.com,
    192.0.2.0/24, host:8080), or * for all.
    """
    per_proxy: int | None
    """Use a proxy for at most N requests at once. Takes a whole number from 1 to 10,000."""
    resolve: str | Iterable[str]
    """Take ADDRESS for HOST (* for any) at PORT, and ask no name server; it may be private. Takes
    HOST:PORT:ADDRESS[,ADDRESS...] (example.com:443:127.0.0.1; * for any host, IPv6 in brackets); or several.
    """
    dns_servers: str | Iterable[str]
    """Ask these name servers in place of the system's. Takes the address of a name server (9.9.9.9, 127.0.0.1:5353,
    [2620:fe::fe]:53); or several.
    """
    interface: str | None
    """Connect from this interface or address of this machine. Takes the name of an interface (eth0), or an address of
    this machine (192.0.2.1).
    """
    ipv4: bool
    """Connect to IPv4 addresses alone."""
    ipv6: bool
    """Connect to IPv6 addresses alone."""
    concurrency: int
    """Fetch at most N URLs at once. Takes a whole number from 1 to 10,000. Default: 64."""
    procs: int | Literal["auto"]
    """Fetch with N processes; auto: one for each core. Takes auto, or a whole number from 1 to 1,000. Default: 1."""
    per_host: int
    """Fetch at most N URLs of one host at once. Takes a whole number from 1 to 10,000. Default: 8."""
    delay: float | str
    """Wait between the starts of two requests to one host. Takes a time from 0 to 86400 seconds (or with a unit: 500ms,
    1.5s, 2m, 1h, 1d).
    """
    rate: str | None
    """Start at most so many requests in a time, of all hosts together. Takes a rate (100/s, 30/m, 1000/h, 0.5/s; 1/10s
    is one in ten seconds).
    """
    rate_per_host: str | None
    """Start at most so many requests to each host in a time. Takes a rate (100/s, 30/m, 1000/h, 0.5/s; 1/10s is one in
    ten seconds).
    """
    robots: bool
    """Obey robots.txt."""
    adaptive: bool
    """Slow down for hosts that answer 429 or 503, time out or reset. Default: true."""
    retries: int
    """Try a URL again at most N times when that may help. Takes a whole number from 0 to 100. Default: 2."""
    retry_after_cap: float | str
    """Longest Retry-After to wait for; beyond, retry last. Takes a time from 0 to 86400 seconds (or with a unit: 500ms,
    1.5s, 2m, 1h, 1d). Default: 120s.
    """
    hosts: Mapping[str, HostKeys] | tuple[HostTable, ...]
    """Of a file: what is otherwise for one host, or for all under a domain; keys: concurrency, delay, rate, robots,
    timeout, headers, auth, proxy, insecure, cookies. Takes tables by host ([hosts."example.com"] in a file,
    hosts={"example.com": {...}} in Python).
    """
    timeout: float | str
    """Longest time for a fetch as a whole. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m,
    1h, 1d). Default: 60s.
    """
    dns_timeout: float | str
    """Longest time to look up a host's addresses. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms,
    1.5s, 2m, 1h, 1d). Default: 5s.
    """
    connect_timeout: float | str
    """Longest time to connect. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d).
    Default: 10s.
    """
    tls_timeout: float | str
    """Longest time for the TLS handshake. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m,
    1h, 1d). Default: 10s.
    """
    headers_timeout: float | str
    """Longest time from the request to the end of the headers. Takes a time from 0.001 to 86400 seconds (or with a
    unit: 500ms, 1.5s, 2m, 1h, 1d). Default: 20s.
    """
    idle_timeout: float | str
    """Longest silence inside a body. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h,
    1d). Default: 20s.
    """
    min_rate: int | str
    """Fewest bytes per second after the first 30 s; 0 is off. Takes a size from 0 to 1GiB (bytes, or with a unit: 500k,
    10MiB, 1G; k is 1000, KiB is 1024). Default: 100.
    """
    limit_rate: int | str | None
    """Take at most so many bytes of bodies per second, of all hosts together. Takes a size from 1 to 1TiB (bytes, or
    with a unit: 500k, 10MiB, 1G; k is 1000, KiB is 1024).
    """
    max_redirects: int
    """Follow at most N redirects. Takes a whole number from 0 to 100. Default: 10."""
    max_size: int | str
    """Largest body, on the wire and decoded. Takes a size from 1 to 1TiB (bytes, or with a unit: 500k, 10MiB, 1G; k is
    1000, KiB is 1024). Default: 10MiB.
    """
    max_memory: int | str | None
    """Memory for the bodies in the air; without: a quarter of what there is, at most 1 GiB. Takes a size from 1MiB to
    1TiB (bytes, or with a unit: 500k, 10MiB, 1G; k is 1000, KiB is 1024).
    """
    output: str | PathLike[str] | Iterable[str | PathLike[str]]
    """Write records to a new FILE, in the format of its suffix (.jsonl, .csv, .parquet, .sqlite, .duckdb), or what went
    over the wire (.warc.gz); - is standard output; FILE may be s3://bucket/key, gs://, az://. Takes a file or -; or
    several.
    """
    overwrite_output: str | PathLike[str] | Iterable[str | PathLike[str]]
    """As output, replacing FILE. Takes a file or -; or several."""
    fields: str | Iterable[str]
    """Write only these fields of the record, in this order: url,status,data.price,data.tags[0],... Takes the name of a
    field; or several.
    """
    template: str | None
    """Write of each record a line like this, to standard output and .txt: '{status:>3} {url} {data.price}'. Takes a
    text with fields in braces ('{status} {url}').
    """
    items: str | PathLike[str] | None
    """Write what pages gave (extract, parse functions) to FILE, a row for each item, with its _url. Takes a file."""
    warc_max_size: int | str | None
    """Begin another numbered file (site-00001.warc.gz) where an archive would become larger than this. Takes a size
    from 1MiB to 1TiB (bytes, or with a unit: 500k, 10MiB, 1G; k is 1000, KiB is 1024).
    """
    include_body: bool
    """Write the body into the record, as text or base64."""
    bodies: str | PathLike[str] | None
    """Keep each body in a file of DIR, which may be s3://bucket/prefix. Takes a folder."""
    bodies_as: Literal["hash", "name", "url"]
    """Name the files of bodies by their hash, by the name that they have there, or by host and path. Default: hash."""
    mirror: str | PathLike[str] | None
    """Copy sites into DIR to be read offline: recursive, with what pages are shown with, links rewritten. Takes a
    folder.
    """
    accept: str | Iterable[str]
    """Skip answers of other content types before their body is read: image/*,application/pdf. Takes a content type; or
    several.
    """
    ordered: bool
    """Write records in the order of the inputs."""
    no_headers: bool
    """Leave the response headers out of the records."""
    csv_raw: bool
    """Write CSV cells as they are, even those a spreadsheet would run as formulas."""
    csv_bom: bool
    """Begin CSV with a byte order mark, by which Excel knows that it is UTF-8."""
    cache: str | PathLike[str] | None
    """Keep answers in DIR, and ask for none that is fresh there (RFC 9111). Takes a folder."""
    cache_for: float | str | None
    """Keep every answer below 500, and take it for fresh for so long, whatever its headers say. Takes a time from 1 to
    3.1536e+08 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d).
    """
    cache_size: int | str
    """Keep at most so much; what was not used for longest goes. Takes a size from 1MiB to 1TiB (bytes, or with a unit:
    500k, 10MiB, 1G; k is 1000, KiB is 1024). Default: 1GiB.
    """
    job: str | PathLike[str] | None
    """Keep the run in DIR: the same command goes on. Takes a folder."""
    since: str | PathLike[str] | None
    """Fetch only what has changed since an earlier run: its RECORDS.jsonl, or its job. Takes records or the folder of a
    job.
    """
    durable: bool
    """Survive a power failure, too; slower."""
    frontier: str | Secret | None
    """Share the crawl with all who name the same Redis and crawl_id: redis://host/0. Takes the URL of a Redis or Valkey
    (redis://host:6379/0, rediss:// with TLS, unix:///path), or env:NAME or @FILE.
    """
    crawl_id: str | None
    """The name of the crawl in that Redis, where there may be several. Takes a name of a crawl (letters, digits, _, .
    and -, at most 64).
    """
    lease: float | str
    """For how long a node that is gone holds its hosts: then others go on with them. Takes a time from 1 to 3600
    seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d). Default: 30s.
    """
    yes: bool
    """Of `crawler forget`: do not ask."""
    accept_status: str | Iterable[str]
    """Take these statuses for good answers: 200..=299,403 (for `crawler check` also accept). Takes a status (403) or a
    range of them (200..=299, 200..300, 500..); or several. Default: 200..=299.
    """
    fragments: bool
    """Look whether what stands behind the # of a link is there. Default: true."""
    strict: bool
    """Exit with 3 for links, too, that may be good another day."""
    format: Literal["text", "json", "junit", "sarif", "github", "markdown"]
    """Say what was found for people (text), for programs, or for a CI: text, json, junit, sarif, github, markdown.
    Default: text.
    """
    base: str | None
    """Where the folder that is checked is on the web: what leads there is looked up in the folder. Takes the URL of a
    folder (https://example.org/docs/).
    """
    fallback_extensions: str | Iterable[str]
    """In a folder, look for what is not there with these extensions: html, where /guide is guide.html. Takes an
    extension (html); or several.
    """
    index_files: str | Iterable[str]
    """In a folder, what is shown for a folder, the first of these that is there; . for the folder itself [index.html,
    index.htm, index.xhtml, README.md, index.md, readme.md]. Takes the name of a file (index.html), or "." for the
    folder itself; or several.
    """
    shards: int
    """Cut the inputs of `crawler split` into N shards. Takes a whole number from 1 to 99,999. Default: 256."""
    shard: int | str | None
    """Do shard N; auto is the number that Slurm, Kubernetes or AWS Batch gives. Takes the number of a shard, from 0 on,
    or auto.
    """
    engine: Literal["local", "ray", "dask", "spark"] | None
    """Do all shards, in processes of this machine (local) or of a cluster."""
    address: str
    """The cluster of engine; auto is the one that its own settings name. Takes one line of text. Default: auto."""
    extract: str | Iterable[str] | Mapping[str, str | list[str] | tuple[str]]
    """Put the first match of a CSS or XPath selector into data: title=title::text. Takes a declaration NAME=SELECTOR;
    or several.
    """
    extract_all: str | Iterable[str] | Mapping[str, str | list[str] | tuple[str]]
    """As extract, with all matches as a list: links=a::attr(href). Takes a declaration NAME=SELECTOR; or several."""
    text: str | None
    """Put what a page is about into data.FIELD: its text, title, author, date and language. Takes a name (letters,
    digits, _, . and -, such as article).
    """
    text_format: Literal["text", "markdown"]
    """The form of that text. Default: text."""
    page_facts: bool
    """Put into page what search engines look at: h1, description, canonical, robots, words, links. On with recursive
    and report.
    """
    parse_timeout: float | str
    """Longest time to parse a page. Takes a time from 0.001 to 86400 seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d).
    Default: 10s.
    """
    quiet: bool
    """Say nothing but errors."""
    verbose: bool
    """Say of each URL what became of it, also with output."""
    progress: bool
    """Show progress. Default: true."""
    fail: bool
    """Exit with 3 or 4 when a URL failed."""
    dashboard: int | str | None
    """Show the run on a live page, which can steer it; a port of this machine, 0 for any that is free. Takes a port of
    this machine (8080, 127.0.0.1:8080, [::1]:8080; 0 is any that is free).
    """
    console: str | None
    """Let `crawler attach` watch and steer the run, through a socket file or a port of this machine. Takes a socket
    file, or HOST:PORT.
    """
    metrics: int | str | None
    """Serve the counts to Prometheus at /metrics, on a port of this machine. Takes a port of this machine (8080,
    127.0.0.1:8080, [::1]:8080; 0 is any that is free).
    """
    token_file: str | PathLike[str] | None
    """Let in who knows the token in FILE; made when it is not there. Without: a new token for each run. Takes a file.
    """
    monitor_address: str | None
    """Let dashboard and metrics listen on this address, so that other machines reach them; where a port was written
    without a host. Wants a token file, and a certificate (or a word that there is none). Takes an IP address of this
    machine (192.0.2.7; 0.0.0.0 or :: for all it has).
    """
    monitor_cert: str | PathLike[str] | None
    """Speak TLS on monitor_address, with this chain of certificates in PEM; the private key may be there, too. Takes a
    file.
    """
    monitor_key: str | PathLike[str] | None
    """The private key of monitor_cert, in PEM. Takes a file."""
    monitor_plain: bool
    """Go without TLS on monitor_address: who listens on the way reads the token (for a network of one's own)."""
    monitor_name: str | Iterable[str]
    """Answer on monitor_address to this name in the Host header, beside the address, the name of the machine and those
    in the certificate. Takes a host (crawler.internal or crawler.internal:8443); or several.
    """
    report: str | PathLike[str] | None
    """Write a page of plots about the run to FILE.html in the end; replaces FILE.html. Takes a file."""
    stats: str | PathLike[str] | None
    """Write to FILE what the run came to: counts, rates, times and errors, as JSON; replaces FILE. Takes a file."""
    log_format: Literal["text", "json"]
    """Say what is to be said on standard error as text for people, or as a line of JSON each. Default: text."""
    config: str | PathLike[str] | None
    """Read options from FILE, or from the table [tool.crawler] of a pyproject.toml. Takes a file."""
