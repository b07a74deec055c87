"""A local server of the files in a folder."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class RangeServer(SimpleHTTPRequestHandler):
    """Sends parts of files where they are asked for, and fails those it is told to; quiet."""

    has_ranges: ClassVar[bool] = True
    failing: ClassVar[str | None] = None
    """Part of the addresses that fail."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.failing is not None and self.failing in self.path:
            self.send_error(503)
            return
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        file = Path(self.translate_path(self.path))
        if wanted is None or not self.has_ranges or not file.is_file():
            super().do_GET()
            return
        content, (first, last) = file.read_bytes(), wanted.groups()
        part = (
            content[int(first) : int(last) + 1 if last else None]
            if first
            else content[-int(last) :]
        )
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        start = int(first) if first else len(content) - len(part)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(part)


@contextmanager
def serving(handler: type[SimpleHTTPRequestHandler], folder: Path) -> Iterator[str]:
    """Serve a folder, and yield the server's address."""
    address = ("127.0.0.1", 0)
    with ThreadingHTTPServer(address, partial(handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()
