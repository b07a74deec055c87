"""A volume on a server that goes away while it is predicted."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import zarr

from tests.http_server import serving
from tests.inference.blocks.conftest import (
    block_prediction,
    network,
    predictor,
    shard_bytes,
    smooth_image,
)
from vesuv.errors import InputError


class Server(SimpleHTTPRequestHandler):
    """Closes every connection without an answer when enough chunks were sent."""

    chunks_left: ClassVar[float] = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if "/c/" in self.path:
            type(self).chunks_left -= 1
        if self.chunks_left < 0:
            self.close_connection = True
            return
        super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(Server, tmp_path) as url:
        yield url


def test_a_prediction_goes_on_when_the_network_is_back(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("vesuv.io.lazy.remote._FIRST_PAUSE", 0.001)
    image = smooth_image((40, 16, 16))
    zarr.create_array(str(tmp_path / "a.zarr"), data=image, chunks=(16, 16, 16))
    networks, lines = predictor(network()), []
    block_prediction(networks, tmp_path / "a.zarr", tmp_path / "local.zarr").run()

    # what tells the volume from others, its intensities, the first block, a part of the second
    Server.chunks_left = 5 + 3 + 2 + 1
    with pytest.raises(InputError, match=r"a\.zarr.*/c/.* cannot be read .* it goes on$"):
        block_prediction(networks, f"{server}/a.zarr", tmp_path / "p.zarr").run()
    Server.chunks_left = np.inf
    block_prediction(networks, f"{server}/a.zarr", tmp_path / "p.zarr", lines.append).run()

    assert any(line.endswith("of 3 blocks were predicted before") for line in lines)
    assert shard_bytes(tmp_path / "p.zarr") == shard_bytes(tmp_path / "local.zarr")
