"""A web server on this machine that can be told to misbehave."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from doggan.data import transfer


@dataclass
class Site:
    """What the server serves, how it behaves, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    validators: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    cuts: list[int] = field(default_factory=list)
    """For each request in turn, after how many bytes of the body the connection is cut; -1 for not at all."""
    statuses: list[int] = field(default_factory=list)
    """For each request in turn, an error status to answer with; 0 for none."""
    redirects: dict[str, str] = field(default_factory=dict)
    content_range: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append({"path": self.path, **self.headers})
        body = site.files.get(self.path.lstrip("/"))
        status = site.statuses.pop(0) if site.statuses else 0
        if body is None or status:
            self.send_error(status or 404)
            return
        if target := site.redirects.get(self.path.lstrip("/")):
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
            return
        self.send_body(body)

    def send_body(self, body: bytes) -> None:
        site, start = self.site, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if site.ranges and wanted and self.headers.get("If-Range") in site.validators.values():
            start = int(wanted[1])
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        for name, value in site.validators.items():
            self.send_header(name, value)
        if start:
            said = site.content_range or f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.send_header("Content-Range", said)
        if site.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = site.cuts.pop(0) if site.cuts else -1
        self.wfile.write(body[start:] if cut < 0 else body[start : start + cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()
