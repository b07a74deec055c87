"""Headers that lie, and voxels that were damaged where ITK does not look."""

import os
from pathlib import Path

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.io.formats import read, write
from vesuv.io.formats.itk_header import read_header

VOXELS = np.random.default_rng(0).integers(0, 200, (9, 10, 11)).astype(np.uint16)
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: {}\nencoding: {}\n{}\n"
META = "ObjectType = Image\nNDims = 3\nDimSize = {}\nElementType = MET_UCHAR\n{}"


def a_file(folder: Path, name: str, head: str, behind: bytes = bytes(64)) -> Path:
    path = folder / name
    path.write_bytes(head.encode() + behind)
    return path


@pytest.mark.parametrize("ending", ["mha", "nrrd", "nii.gz"])
def test_a_flipped_bit_in_packed_voxels_is_seen(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write(path, VOXELS)
    whole = path.read_bytes()
    assert np.array_equal(read(path).array, VOXELS)

    for place in range(len(whole) // 2, len(whole) // 2 + 400, 50):
        flipped = bytearray(whole)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=rf"a\.{ending}: .*damaged"):
            read(path)


@pytest.mark.parametrize(
    "lines",
    [
        "data file: ../secret\n",
        "datafile: ../secret\n",
        "DATA FILE: ../secret\n",
        "data file: ../secr%03d.raw 1 2 1\n",
    ],
)
def test_an_nrrd_header_may_not_point_at_another_file(tmp_path: Path, lines: str) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 64)
    (tmp_path / "in").mkdir()
    path = a_file(tmp_path / "in", "a.nrrd", NRRD.format("4 4 4", "raw", lines))

    with pytest.raises(InputError, match=r"a\.nrrd: its voxels must lie in the file itself, found"):
        read(path)


LPS = "space: left-posterior-superior\nspace directions: "


@pytest.mark.parametrize(
    "lines",
    [
        "spacings: 0.5 0.5 nan\n",
        "spacings: nan nan 2\n",
        f"{LPS}(0.5,0,0) (0,0.5,0) none\n",
        f"{LPS}(0.5, 0, 0) (0, 0.5, 0) (nan, nan, nan)\nkinds: domain domain domain\n",
    ],
)
def test_a_voxel_edge_that_nrrd_states_along_some_axes_only_is_refused(
    tmp_path: Path, lines: str
) -> None:
    path = a_file(tmp_path, "a.nrrd", NRRD.format("4 4 4", "raw", lines))

    with pytest.raises(InputError, match=r"a\.nrrd: .* voxel edge along every axis, found spac"):
        read(path)


@pytest.mark.parametrize(
    ("lines", "shape", "spacing"),
    [
        ("", (4, 4, 4), (1, 1, 1)),
        ("spacings: nan nan nan\n", (4, 4, 4), (1, 1, 1)),
        ("spacings: 0.5 0.5 2\n", (4, 4, 4), (2, 0.5, 0.5)),
        (f"{LPS}(0.5, 0, 0) (0, 0.5, 0) (0, 0, 2)\n", (4, 4, 4), (2, 0.5, 0.5)),
        # The first axis holds a voxel's four components: a slice of 4 x 4.
        ("kinds: vector domain domain\nspacings: nan 0.25 0.5\n", (4, 1, 4, 4), (1, 0.5, 0.25)),
    ],
)
def test_voxel_edges_of_nrrd_along_all_axes_or_none_are_read(
    tmp_path: Path, lines: str, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    volume = read(a_file(tmp_path, "a.nrrd", NRRD.format("4 4 4", "raw", lines)))

    assert volume.array.shape == shape
    assert volume.spacing == spacing


@pytest.mark.parametrize("named", ["../secret", "/etc/passwd", "LIST\n../secret", "s%d 1 4 1"])
def test_a_metaimage_header_may_not_point_at_another_file(tmp_path: Path, named: str) -> None:
    path = a_file(tmp_path, "a.mha", META.format("4 4 4", f"ElementDataFile = {named}\n"))

    with pytest.raises(InputError, match=r"a\.mha: its voxels must lie in the file itself"):
        read(path)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.nrrd", NRRD.format("1000 1000 2000", "raw", "")),
        ("a.nrrd", NRRD.format("1000 1000 2000", "gzip", "")),
        ("a.mha", META.format("1000 1000 2000", "ElementDataFile = LOCAL\n")),
        (
            "a.mha",
            META.format("1000 1000 2000", "CompressedData = True\nElementDataFile = LOCAL\n"),
        ),
    ],
)
def test_a_header_that_claims_more_than_the_file_can_hold_takes_no_memory(
    tmp_path: Path, name: str, head: str
) -> None:
    with pytest.raises(InputError, match=r"its header claims \(1, 1000, 1000, 2000\) voxels"):
        read(a_file(tmp_path, name, head))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("NDims = 1e308\n", "found NDims = '1e308'"),
        ("NDims = 99\n", "found NDims = '99'"),
        ("NDims = 3\nDimSize = 4 4\n", "dimsize = '4 4' in its header"),
        ("NDims = 3\nDimSize = 4 4 x\n", "dimsize = '4 4 x' in its header"),
        ("NDims = 3\nDimSize = 4 4 1e99\n", "dimsize = '4 4 1e99' in its header"),
        ("NDims = 3\nTransformMatrix = 1 0 0\n", "transformmatrix = '1 0 0' in its header"),
        ("NDims = 3\nElementNumberOfChannels = nan\n", "elementnumberofchannels = 'nan'"),
    ],
)
def test_numbers_that_would_crash_the_reader_are_refused(
    tmp_path: Path, lines: str, sentence: str
) -> None:
    path = a_file(tmp_path, "a.mha", f"ObjectType = Image\n{lines}ElementDataFile = LOCAL\n")

    with pytest.raises(InputError, match=sentence):
        read(path)


def test_packed_voxels_that_are_too_few_or_too_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    write(path, np.zeros((9, 10, 11), np.uint8))
    header = read_header(path)

    header.verify_checksum(9 * 10 * 11)
    with pytest.raises(Exception, match="991 bytes of voxels expected, found 990"):
        header.verify_checksum(991)
    write(path, np.zeros((99, 200, 110), np.uint8))
    with pytest.raises(Exception, match="more voxels than the header says"):
        read_header(path).verify_checksum(990)


def beside(folder: Path) -> Path:
    """A folder with a file that no header may bring to light."""
    (folder / "secret").write_bytes(b"S" * 64)
    (folder / "LoCaL").write_bytes(b"S" * 64)
    return folder


@pytest.mark.parametrize("line", ["# x\rdata file: secret\n", "content: x\rdata file: secret\n"])
def test_a_carriage_return_that_ends_a_line_for_itk_alone_is_refused(
    tmp_path: Path, line: str
) -> None:
    path = a_file(beside(tmp_path), "a.nrrd", NRRD.format("4 4 4", "raw", line))

    with pytest.raises(
        InputError, match=r"a\.nrrd: its header must be plain text, found .* b'\\r'"
    ):
        read(path)


@pytest.mark.parametrize(
    ("name", "head", "sentence"),
    [
        ("a.nrrd", NRRD.format("4 4 4", "raw", "Data_File: secret\n"), "must lie in the file its"),
        ("a.nrrd", NRRD.format("4 4 4", "raw", "Sizes: 4 4 1\n"), "state 'sizes' once, found it"),
        ("a.nrrd", NRRD.format("4 4 4", "raw", "content: \x00\n"), "found the control char"),
        (
            "a.mha",
            META.format("4 4 4", "elementdatafile = LOCAL\nElementDataFile = secret\n"),
            "must name ElementDataFile in this spelling, found 'elementdatafile'",
        ),
        (
            "a.mha",
            META.format("4 4 4", "elementdatafile = LOCAL\nElementDataFile = %s%s%n 1 4 1\n"),
            "must name ElementDataFile in this spelling, found 'elementdatafile'",
        ),
        (
            "a.mha",
            META.format("4 4 4", "Element Data File = LOCAL\nElementDataFile = secret\n"),
            "must name ElementDataFile in this spelling, found 'Element Data File'",
        ),
        ("a.mha", META.format("4 4 4", "ElementDataFile = LoCaL\n"), "must lie in the file itself"),
        ("a.mha", META.format("4 4 4", "ElementDataFile = %s%n 1 4 1\n"), "must lie in the file"),
        (
            "a.mha",
            META.format(
                "4 4 4", "Comment = x\rElementDataFile = secret\nElementDataFile = LOCAL\n"
            ),
            "found the control char",
        ),
        (
            "a.mha",
            META.format("4 4 4", "Comment =\nElementDataFile = LOCAL\nElementDataFile = secret\n"),
            "damaged: line 'Comment =' in its header",
        ),
        (
            "a.mha",
            META.format("4 4 4", "Comment\nElementDataFile = LOCAL\n"),
            "damaged: line 'Comment' in its header",
        ),
        (
            "a.mha",
            META.format("4 4 4", "DimSize = 4 4 1\nElementDataFile = LOCAL\n"),
            "state 'dimsize' once, found it twice",
        ),
        (
            "a.mha",
            META.format("4 4 4", f"Name = {'x' * 5000}\nElementDataFile = LOCAL\n"),
            "have at most 4000 characters, found 5007",
        ),
    ],
)
def test_a_header_that_itk_could_read_in_another_way_is_refused(
    tmp_path: Path, name: str, head: str, sentence: str
) -> None:
    path = a_file(beside(tmp_path), name, head)

    with pytest.raises(InputError, match=rf"{name}: .*{sentence}"):
        read(path)


def test_lines_that_end_as_on_windows_comments_and_entries_of_the_user_are_read(
    tmp_path: Path,
) -> None:
    text = NRRD.format("4 4 4", "raw", "# a: b\nscan:=54 keV\nscan:=x\n").replace("\n", "\r\n")
    nrrd = a_file(tmp_path, "a.nrrd", text, b"x" * 64)
    text = META.format("4 4 4", "\nDICOM_0010|0010 = x y\nElementDataFile = Local\n")
    mha = a_file(tmp_path, "a.mha", text.replace("\n", "\r\n"), b"x" * 64)

    for path in (nrrd, mha):
        assert (read(path).array == ord("x")).all()


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_a_name_that_is_no_utf8_is_refused_instead_of_ending_the_process(
    tmp_path: Path, ending: str
) -> None:
    write(tmp_path / f"a.{ending}", VOXELS)
    path = tmp_path / os.fsdecode(b"\xff." + ending.encode())
    (tmp_path / f"a.{ending}").rename(path)

    with pytest.raises(InputError, match=r"names of .* files are UTF-8, found b'.*\\xff"):
        read(path)
    with pytest.raises(InputError, match=r"names of .* files are UTF-8, found b'.*\\xff"):
        write(path, VOXELS)
