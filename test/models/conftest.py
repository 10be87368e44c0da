"""A real HTTP server on 127.0.0.1 that can break off, ignore ranges, change its file or lie."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """What the server does; tests set the fields before a download and read ``requests`` after."""

    url: str = ""
    content: bytes = b""
    etag: str = '"first"'
    content_type: str = "application/octet-stream"
    supports_ranges: bool = True
    announces_size: bool = True
    range_starts_wrong: bool = False
    break_off_after_bytes: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            state.requests.append(dict(self.headers))
            if state.failures:
                self.send_error(state.failures.pop(0))
                return
            body, status = state.content, 200
            span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range") in (None, state.etag)
            if span and state.supports_ranges and fresh:
                start, status = int(span[1]), 206
                if state.range_starts_wrong:
                    start, state.range_starts_wrong = start // 2, False
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.end_headers()
                    return
                body = body[start:]
            self.send_response(status)
            if status == 206:
                size = len(state.content)
                self.send_header("Content-Range", f"bytes {size - len(body)}-{size - 1}/{size}")
            self.send_header("Content-Type", self.content_type_of())
            if state.etag:
                self.send_header("ETag", state.etag)
            if state.announces_size:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.break_off_after_bytes:
                body = body[: state.break_off_after_bytes.pop(0)]
            self.wfile.write(body)

        def content_type_of(self) -> str:
            return state.content_type

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/model.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
