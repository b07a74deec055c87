"""A local server that speaks as much of S3 as reading needs: buckets are folders in a folder."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from zarr.core.sync import sync

from tests.http_server import RangeServer, serving


class S3Server(RangeServer):
    """Sends objects; private ones only to requests with a signature, which it does not check."""

    is_private: ClassVar[bool] = False
    has_signature: ClassVar[set[bool]] = set()
    """Whether requests were signed."""

    def do_GET(self) -> None:  # noqa: N802 - name of the library
        is_signed = "Authorization" in self.headers
        self.has_signature.add(is_signed)
        if self.is_private and not is_signed:
            self._refuse(403, "AccessDenied")
        elif not Path(self.translate_path(self.path)).is_file():
            self._refuse(404, "NoSuchKey")
        else:
            super().do_GET()

    def _refuse(self, status: int, code: str) -> None:
        content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving_s3(folder: Path) -> Iterator[type[S3Server]]:
    """Serve a folder as the end point of S3, with credentials in the environment."""
    s3fs = pytest.importorskip("s3fs")
    S3Server.is_private, S3Server.has_signature = False, set()
    with serving(S3Server, folder) as url, pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # it knows former end points
        yield S3Server
        sync(_end_requests())
        for filesystem in s3fs.S3FileSystem._cache.values():
            sync(filesystem._s3creator.__aexit__(None, None, None))
        s3fs.S3FileSystem.clear_instance_cache()
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()  # what s3fs leaves open warns here, not in another test


async def _end_requests() -> None:
    """End what zarr dropped: it would be tried again, at random moments, within other tests."""
    requests = asyncio.all_tasks() - {asyncio.current_task()}
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
