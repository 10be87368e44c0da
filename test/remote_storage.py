"""A web server that knows ranges and passwords, and counts what it sends."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["WebStorage", "web_storage"]


@dataclass
class WebStorage:
    """Files of a folder over HTTP.

    Attributes:
        folder: with the files.
        port: of the server.
        password: that a client must give; empty for none.
        failures: so many requests are answered by an error of the server first.
        sent_bytes: of files so far.
    """

    folder: Path
    port: int = 0
    password: str = ""
    failures: int = 0
    sent_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"


@contextmanager
def web_storage(folder: Path, password: str = "", port: int = 0) -> Iterator[WebStorage]:
    storage = WebStorage(folder, password=password)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_content=False)

        def do_GET(self) -> None:
            self.answer(with_content=True)

        def answer(self, with_content: bool) -> None:
            path = folder / self.path.partition("?")[0].lstrip("/")
            given = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2])
            if storage.failures > 0:
                storage.failures -= 1
                return self.reply(503)
            if storage.password and given.decode().partition(":")[2] != storage.password:
                return self.reply(401)
            if path.is_dir():
                names = "".join(f'<a href="{entry.name}">x</a>' for entry in path.iterdir())
                return self.reply(200, names.encode(), with_content)
            if not path.is_file():
                return self.reply(404)
            content = path.read_bytes()
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
                first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
                size = len(content)
                part = content[first : last + 1]
                return self.reply(206, part, with_content, f"bytes {first}-{last}/{size}")
            return self.reply(200, content, with_content)

        def reply(
            self, status: int, body: bytes = b"", with_content: bool = True, span: str = ""
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes")
            if span:
                self.send_header("Content-Range", span)
            self.end_headers()
            if with_content:
                with storage.lock:
                    storage.sent_bytes += len(body)
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    storage.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield storage
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
