"""Pictures and films as files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesuv.errors import InputError
from vesuv.visualization.film import check_file, write_frames

FRAMES = [Image.new("RGB", (31, 20), colour) for colour in ("red", "lime", "blue")]


def test_a_gif_holds_each_frame_and_its_time(tmp_path: Path) -> None:
    write_frames(str(tmp_path / "a.gif"), FRAMES, frames_per_second=5)

    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.info["duration"], film.info["loop"]) == (3, 200, 0)
        film.seek(2)
        assert film.convert("RGB").getpixel((5, 5)) == (0, 0, 255)


@pytest.mark.slow
def test_a_film_for_browsers_holds_each_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")

    write_frames(tmp_path / "a.mp4", iter(FRAMES), frames_per_second=5)

    with av.open(str(tmp_path / "a.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 32, 20)
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert float(stream.average_rate) == 5
    assert [int(np.argmax(frame[10, 10])) for frame in frames] == [0, 1, 2]


def test_a_film_without_its_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(InputError, match=r"needs the package av, found none; install vesuv\[view"):
        check_file(tmp_path / "a.mp4", overwrite=False)


def test_other_endings_folders_and_existing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.png, \.gif or \.mp4, found '\.svg'"):
        check_file(tmp_path / "a.svg", overwrite=False)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(InputError, match="is a folder; name a file"):
        check_file(tmp_path / "b.png", overwrite=True)
    (tmp_path / "c.png").touch()
    with pytest.raises(InputError, match=r"exists already; .* --overwrite"):
        check_file(tmp_path / "c.png", overwrite=False)


def test_a_film_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def frames():
        yield FRAMES[0]
        raise InputError("the second slice is damaged")

    with pytest.raises(InputError, match="damaged"):
        write_frames(tmp_path / "a.gif", frames())

    assert list(tmp_path.iterdir()) == []
