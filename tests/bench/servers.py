"""What the benches fetch from, in a process of its own: the built-in site and nginx, each over http and https.

Prints one line of JSON with the base URL of each server, and the file with the certificate of the authority that all of
them are trusted by. Serves until its standard input ends. The pages are the same everywhere: /p/0.html to /p/1999.html.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme
from twisted.internet.ssl import DefaultOpenSSLContextFactory

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the checkout, not what pip installed of it

from crawler.site import running_site  # noqa: E402
from crawler.site.pages import SMALL_PAGES, small_page  # noqa: E402

DOCS = Path("/usr/share/doc/python3.11/html")  # of Debian's package python3.11-doc
NGINX = """{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; open_file_cache max=4096;
  types {{ text/html html; }}
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{plain} backlog=4096; listen 127.0.0.1:{secure} ssl backlog=4096;
    listen 127.0.0.1:{both} ssl http2 backlog=4096;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; root {folder}/www;
  }}
}}
"""


def certify(folder: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    leaf.private_key_pem.write_to_path(folder / "server.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "server.pem")


@contextmanager
def nginx(program: str, folder: Path) -> Generator[dict[str, str]]:
    pages = folder / "www" / "p"
    pages.mkdir(parents=True)
    for number in range(SMALL_PAGES):
        answer: Any = small_page(f"/p/{number}.html")
        pages.joinpath(f"{number}.html").write_bytes(answer.partition(b"\r\n\r\n")[2])
    if DOCS.is_dir():
        (folder / "www" / "docs").symlink_to(DOCS)
    plain, secure, both = free_port(), free_port(), free_port()
    user = "user root; " if os.geteuid() == 0 else ""  # its workers must be allowed to read the pages
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(user=user, folder=folder, plain=plain, secure=secure, both=both))
    process = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    try:
        wait_for(plain, process)
        names = {"nginx": ("http", plain), "nginx-tls": ("https", secure), "nginx-h2": ("https", both)}
        yield {name: f"{scheme}://127.0.0.1:{port}" for name, (scheme, port) in names.items()}
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit(f"nginx ended with exit code {process.returncode}")


def main() -> None:
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        certify(folder)
        tls = DefaultOpenSSLContextFactory(folder / "server.key", folder / "server.pem")
        sites = {
            "site": stack.enter_context(running_site(keep_log=False)).url(""),
            "site-tls": stack.enter_context(running_site(keep_log=False, tls=tls)).url(""),
        }
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is not None:
            sites |= stack.enter_context(nginx(program, folder))
        print(json.dumps({"authority": str(folder / "authority.pem"), "servers": sites}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
