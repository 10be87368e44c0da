"""The part of Google's object storage that reading needs, for files of a folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["FORBIDDEN_BUCKET", "google_storage"]

FORBIDDEN_BUCKET = "forbidden"


@contextmanager
def google_storage(folder: Path) -> Iterator[str]:
    """The address of a server whose buckets are the folders in ``folder``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            wanted = {key: values[0] for key, values in parse_qs(address.query).items()}
            # .../storage/v1/b/BUCKET/o[/OBJECT]
            bucket, _, name = address.path.partition("/b/")[2].partition("/o")
            if bucket == FORBIDDEN_BUCKET:
                return self.reply(403, {"error": {"code": 403, "message": "no access"}})
            if name:
                return self.reply_file(folder / bucket, unquote(name[1:]), wanted)
            return self.reply_list(
                folder / bucket, wanted.get("prefix", ""), "delimiter" in wanted
            )

        def reply_file(self, bucket: Path, name: str, wanted: dict[str, str]) -> None:
            if not (bucket / name).is_file():
                return self.reply(404, {"error": {"code": 404, "message": "No such object"}})
            if wanted.get("alt") != "media":
                return self.reply(200, described(bucket, bucket / name))
            data = (bucket / name).read_bytes()
            if span := self.headers.get("Range"):
                first, _, last = span.removeprefix("bytes=").partition("-")
                data = data[int(first) : int(last) + 1 if last else None]
            return self.reply(206 if span else 200, data)

        def reply_list(self, bucket: Path, prefix: str, by_folder: bool) -> None:
            names = [str(file.relative_to(bucket)) for file in sorted(bucket.rglob("*.*"))]
            items, folders = [], set()
            for name in names:
                if name.startswith(prefix):
                    first, slash, _ = name[len(prefix) :].partition("/")
                    if slash and by_folder:
                        folders.add(f"{prefix}{first}/")
                    else:
                        items.append(described(bucket, bucket / name))
            self.reply(200, {"items": items, "prefixes": sorted(folders)})

        def reply(self, status: int, body: Any) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def described(bucket: Path, file: Path) -> dict[str, str]:
    return {
        "kind": "storage#object",
        "name": str(file.relative_to(bucket)),
        "bucket": bucket.name,
        "size": str(file.stat().st_size),
        "etag": "version",
    }
