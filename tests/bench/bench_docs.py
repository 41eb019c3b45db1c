"""Real sites: the documentation of Python and of Apache (Debian's python3.11-doc and apache2-doc), from nginx if installed.

Each is crawled by the simple reference crawler, by this one, and by this one again as a job that is killed on its way
ten times and goes on. URLs, statuses and content must be the same each time, in every output.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import ROOT, about, crawl, run

BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(BENCH.parent / "support")]

from reference_crawler import ReferenceCrawler  # noqa: E402
from servers import free_port, wait_for  # noqa: E402

from crawler.job.verify import verify  # noqa: E402

SITES = {
    "python3.11-doc": (Path("/usr/share/doc/python3.11/html"), "pydoc/index.html"),
    "apache2-doc": (Path("/usr/share/doc/apache2-doc/manual"), "apache/en/index.html"),
}
OUTPUTS = ("killed.jsonl", "killed.csv", "killed.jsonl.gz")
NGINX = """worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off; types {{ text/html html htm; text/css css; application/javascript js; image/png png; text/plain txt; }}
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}
}}
"""

Lines = list[tuple[str, str, str]]
"""URL, status and sha256 of each line, as text, sorted."""


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def nginx(program: str, root: Path, folder: Path) -> Generator[str]:
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # its workers must be allowed to read the pages
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, user=user, port=port, root=root))
    process = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


class Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Clients that are killed are what is tested."""


@contextmanager
def threads(root: Path) -> Generator[str]:
    with Threads(("127.0.0.1", 0), partial(Handler, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def read(path: Path) -> Lines:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode()
    if ".csv" in path.name:
        rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    rows = [row for row in rows if "duplicate" not in (row.get("error_code"), (row.get("error") or {}).get("code"))]
    return sorted((row["final_url"] or row["url"], str(row["status"]), row["sha256"]) for row in rows)


def must_be(expected: Lines, found: Lines, name: str) -> None:
    if found != expected:
        odd = sorted(set(found) ^ set(expected))
        raise SystemExit(f"{name}: {len(found)} lines and not {len(expected)}; of one only: {odd[:10]}")


def killed(command: list[str], kills: int, seconds: float, rng: random.Random) -> tuple[int, float]:
    """Run to the end, killed on the way so many times; gives how often it was, and the seconds of all runs."""
    start = time.perf_counter()
    times = 0
    while True:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, words = process.communicate(timeout=rng.uniform(0.4, seconds) if times < kills else None)
        except subprocess.TimeoutExpired:
            times += 1
            process.send_signal(rng.choice([signal.SIGKILL] * 4 + [signal.SIGINT]))
            _, words = process.communicate()
            continue
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode}: {words}")
        return times, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="how often the job is killed (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: 0)")
    options = parser.parse_args()
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    print(about(f"whole sites, 16 at once, from {'nginx' if program else 'threads'}"))
    print(
        f"\n{'':<16}{'pages':>7}{'200':>7}{'404':>7}{'reference':>12}{'crawler':>10}{'with --job':>12}{'killed':>8}{'in all':>9}"
    )
    for name, (root, first) in SITES.items():
        if not root.is_dir():
            print(f"{name:<16}not installed")
            continue
        with TemporaryDirectory() as temporary, ExitStack() as stack:
            folder = Path(temporary)
            web = folder / "www"
            web.mkdir()
            # Not at the root of the host: there are links that lead above the documentation.
            web.joinpath(first.partition("/")[0]).symlink_to(root)
            base = stack.enter_context(nginx(program, web, folder) if program else threads(web))
            start = time.perf_counter()
            pages = ReferenceCrawler().crawl([base + first])
            reference = time.perf_counter() - start
            expected = sorted((url, str(status), digest or "") for url, (status, digest) in pages.items())
            arguments = [
                "-r",
                base + first,
                "-c",
                16,
                "--per-host",
                16,
                "--delay",
                0,
                "--scope",
                "origin",
                "--no-robots",
                "-q",
            ]
            plain = run(crawl(*arguments, "-o", folder / "plain.jsonl"), {})
            must_be(expected, read(folder / "plain.jsonl"), f"{name}, undisturbed")
            job = run(crawl(*arguments, "-o", folder / "job.jsonl", "--job", folder / "undisturbed"), {})
            must_be(expected, read(folder / "job.jsonl"), f"{name}, with --job")
            outputs = [part for output in OUTPUTS for part in ("-o", folder / output)]
            times, seconds = killed(
                crawl(*arguments, *outputs, "--job", folder / "killed"),
                options.kills,
                0.55 + 0.5 * job.wall / options.kills,
                random.Random(options.seed),
            )
            for output in OUTPUTS:
                must_be(expected, read(folder / output), f"{name}, killed: {output}")
            if problems := verify(str(folder / "killed")).problems:
                raise SystemExit("\n".join(problems))
            good, missing = (sum(line[1] == status for line in expected) for status in ("200", "404"))
            print(
                f"{name:<16}{len(expected):>7,}{good:>7,}{missing:>7,}{reference:>10.1f} s{plain.wall:>8.1f} s"
                f"{job.wall:>10.1f} s{times:>6} x{seconds:>7.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
