"""One TIFF is one volume: nothing is read beside it, made up, or decoded without a limit."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from vesuv.errors import InputError
from vesuv.io.formats import read

OWN, OTHER = (f"urn:uuid:{digit * 8}-0000-0000-0000-000000000000" for digit in "12")
ZEROS, SECRET = np.zeros((2, 16, 16), np.uint8), np.full((2, 16, 16), 83, np.uint8)


def ome_xml(planes: list[tuple[str, str]], root: str = f'UUID="{OWN}"') -> str:
    """OME-XML of an image whose planes lie in files of these ids and names, two in each."""
    entries = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 2}" PlaneCount="1">'
        f'<UUID FileName="{name}">{file_id}</UUID></TiffData>'
        for z, (file_id, name) in enumerate(planes)
    )
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {root}>'
        '<Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" '
        f'SizeZ="{len(planes)}" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f"{entries}</Pixels></Image></OME>"
    )


def save(path: Path, array: np.ndarray, xml: str) -> None:
    tifffile.imwrite(path, array, description=xml, metadata=None)


@pytest.mark.parametrize("place", ["b.tif", "../b.tif", "absolute", "none.tif"])
def test_planes_in_another_file_are_refused(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    name = str(tmp_path / "b.tif") if place == "absolute" else place
    xml = ome_xml([(OWN, "a.tif")] * 2 + [(OTHER, name)] * 2)
    for path in (folder / "b.tif", tmp_path / "b.tif"):
        save(path, SECRET, xml.replace(f'UUID="{OWN}"', f'UUID="{OTHER}"'))
    save(folder / "a.tif", ZEROS, xml)

    with pytest.raises(
        InputError, match=r"must lie in the file itself, found planes in file '.*tif"
    ):
        read(folder / "a.tif")


def test_nothing_is_read_beside_the_file_where_its_metadata_hide_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.io.formats.tiff.refuse_other_files", lambda _: None)
    xml = ome_xml([(OWN, "a.tif")] * 2 + [(OTHER, str(tmp_path / "b.tif"))] * 2)
    save(tmp_path / "a.tif", ZEROS, xml)
    save(tmp_path / "b.tif", SECRET, xml.replace(f'UUID="{OWN}"', f'UUID="{OTHER}"'))

    with pytest.raises(InputError, match="found 2 of 4 pages missing; save it as one file"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("root", [f'UUID="{OWN}"', ""])
def test_planes_in_the_file_itself_are_read(tmp_path: Path, root: str) -> None:
    save(tmp_path / "a.tif", SECRET, ome_xml([(OWN, "A.tif")] * 2, root))

    assert np.array_equal(read(tmp_path / "a.tif").array, SECRET)


def test_a_renamed_file_is_known_by_its_id(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", SECRET, ome_xml([(OWN, "before.tif")] * 2))

    assert np.array_equal(read(tmp_path / "a.tif").array, SECRET)


def test_an_index_beside_the_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "NDTiff.index")
    tifffile.imwrite(
        "a.tif",
        SECRET,
        metadata=None,
        extratags=[(51123, 2, 0, b'{"MajorVersion": 2}', True)],
    )

    assert np.array_equal(read("a.tif").array, SECRET)


@pytest.mark.parametrize("codec", ["jpeg", "png", "jpeg2000"])
def test_compressions_of_pictures_are_refused(tmp_path: Path, codec: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SECRET, compression=codec, photometric="minisblack")

    with pytest.raises(InputError, match="compression must be one of none, LZW, deflate, PackBits"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("codec", ["lzw", "zlib", "packbits", "zstd", "lzma"])
def test_lossless_compressions_are_read(tmp_path: Path, codec: str) -> None:
    array = np.arange(2 * 16 * 16, dtype=np.uint16).reshape(2, 16, 16)
    tifffile.imwrite(tmp_path / "a.tif", array, compression=codec)

    assert np.array_equal(read(tmp_path / "a.tif").array, array)


@pytest.mark.parametrize("codec", ["zlib", "zstd", "lzma", "lzw", "packbits"])
def test_a_strip_that_unpacks_to_more_than_its_page_takes_no_memory(
    tmp_path: Path, codec: str
) -> None:
    import tracemalloc

    import imagecodecs

    path = tmp_path / "a.tif"
    bomb = b"\x81\0" * 2**19  # PackBits: 2¹⁹ times 128 zeros
    if codec != "packbits":
        bomb = getattr(imagecodecs, f"{codec}_encode")(bytes(2**26))
    tifffile.imwrite(
        path, np.zeros((4, 16, 16), np.uint8), photometric="minisblack", compression=codec
    )
    with tifffile.TiffFile(path) as tif:
        tags = [tif.pages[0].tags[name] for name in ("StripOffsets", "StripByteCounts")]
    data = bytearray(path.read_bytes())
    for tag, value in zip(tags, (len(data), len(bomb)), strict=True):
        struct.pack_into("<H" if tag.dtype == 3 else "<I", data, tag.valueoffset, value)
    path.write_bytes(bytes(data) + bomb)

    tracemalloc.start()
    try:
        volume = read(path)
        assert volume.array.nbytes == 4 * 16 * 16
    except InputError:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25
