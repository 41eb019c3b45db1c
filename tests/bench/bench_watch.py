"""What it costs to be watched: a list fetched without monitors, with the live page's port open, and with a page on it.

The contenders take turns, so that what else the machine does hits them alike; the ratio of their CPU seconds says most,
because it moves least.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import PAGES, Cost, about, crawl, run, servers
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request, TextMessage

TOKEN = "only-for-this-bench-on-loopback"
PLAIN, OPEN, WATCHED = "no monitors", "live page's port open", "a page watches"
AT_ONCE = 32


class Watcher(threading.Thread):
    """A page: waits for the port, reads frames until the run is over."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.frames = 0

    def run(self) -> None:
        ticket = self._ticket()
        client = WSConnection(ConnectionType.CLIENT)
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(client.send(Request(host=f"127.0.0.1:{self.port}", target=f"/ws?ticket={ticket}")))
            while data := connection.recv(1 << 16):
                client.receive_data(data)
                texts = [event for event in client.events() if isinstance(event, TextMessage)]
                self.frames += sum(event.message_finished for event in texts)

    def _ticket(self) -> str:
        for _ in range(500):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("POST", "/api/ticket", headers={"Authorization": f"Bearer {TOKEN}"})
                return str(json.load(connection.getresponse())["ticket"])
            except ConnectionRefusedError:
                time.sleep(0.02)
            finally:
                connection.close()
        raise SystemExit("the port of the live page does not open")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def once(contender: str, urls: Path, output: Path, token: Path, environment: dict[str, str]) -> tuple[Cost, int]:
    """One run, and how many frames its page has got."""
    output.unlink(missing_ok=True)
    command = crawl(urls, "-c", AT_ONCE, "--per-host", AT_ONCE, "--quiet", "-O", output)
    if contender == PLAIN:
        return run(command, environment), 0
    port = free_port()
    command += ["--dashboard", str(port), "--token-file", str(token)]
    if contender == OPEN:
        return run(command, environment), 0
    watcher = Watcher(port)
    watcher.start()
    cost = run(command, environment)
    watcher.join()
    return cost, watcher.frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--urls", type=int, default=40_000, help="length of the list (default: 40000)")
    parser.add_argument(
        "--rounds", type=int, default=7, help="measured rounds, after one more as a warm-up (default: 7)"
    )
    options = parser.parse_args()
    print(about(f"{options.urls:,} URLs, pages of 1.1 kB, {AT_ONCE} at once; {options.rounds} rounds after a warm-up"))
    with servers() as running, TemporaryDirectory() as name:
        folder = Path(name)
        base = running.urls.get("nginx", running.urls["site"])
        urls, output, token = folder / "urls.txt", folder / "records.jsonl", folder / "token"
        urls.write_text("".join(f"{base}/p/{n % PAGES}.html?{n // PAGES}\n" for n in range(options.urls)))
        token.write_text(TOKEN)
        costs: dict[str, list[Cost]] = {PLAIN: [], OPEN: [], WATCHED: []}
        frames = 0
        for number in range(options.rounds + 1):
            turns = list(costs)
            for contender in (*turns[number % 3 :], *turns[: number % 3]):  # whoever is first has it better or worse
                cost, seen = once(contender, urls, output, token, running.environment)
                if number:
                    costs[contender].append(cost)
                    frames += seen
    report(costs, options.urls, frames / options.rounds)


def report(costs: dict[str, list[Cost]], urls: int, frames: float) -> None:
    print(f"\n{'':<24}{'URLs/s':>9}{'CPU s':>8}{'peak MiB':>10}{'time':>9}{'CPU':>9}")
    for contender, taken in costs.items():
        wall = statistics.median(cost.wall for cost in taken)
        cpu = statistics.median(cost.cpu for cost in taken)
        # Of the same round: what the machine did meanwhile is in both.
        more = [
            statistics.median(
                getattr(cost, name) / getattr(plain, name) for cost, plain in zip(taken, costs[PLAIN], strict=True)
            )
            for name in ("wall", "cpu")
        ]
        peak = max(cost.peak for cost in taken)
        print(f"{contender:<24}{urls / wall:>9,.0f}{cpu:>8.2f}{peak:>10.0f}" + "".join(f"{m - 1:>+9.1%}" for m in more))
    print(f"\nthe page got {frames:.0f} messages a run")


if __name__ == "__main__":
    main()
