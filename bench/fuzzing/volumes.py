"""Small valid volumes of every format, and ways to lie about them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats import Volume, read, write
from vesuv.io.grid import check_same_grid

from .mutations import Link, Pipe, Tree, spoil_bytes, spoil_gzip, spoil_header, spoil_zarr
from .target import Target

MOST_BYTES = 256 * 2**20
"""More than any input here could honestly hold."""
SHAPE = (6, 7, 8)
NANO = Volume(np.zeros(SHAPE), (3.0, 2.0, 1.0), None, unit="nm")


def targets() -> list[Target]:
    """Return one target for each format."""
    bytes_only, header = {"*": spoil_bytes}, {"*": spoil_header}
    return [
        Target("TIFF", _tiff_seeds, bytes_only, _open, _tiff_hostile, names=("case",)),
        Target("NIfTI", _nifti_seeds, bytes_only, _open, _nifti_hostile, names=("case",)),
        Target(
            "NIfTI, gzip", _gzip_seeds, {"*": spoil_gzip}, _open, _gzip_hostile, names=("case",)
        ),
        Target("NRRD", lambda: _made("nrrd"), header, _open, _nrrd_hostile, names=("case",)),
        Target("MetaImage", lambda: _made("mha"), header, _open, _mha_hostile, names=("case",)),
        Target("NPY", lambda: _made("npy"), bytes_only, _open, _npy_hostile, names=("case",)),
        Target(
            "Zarr",
            _zarr_seeds,
            {"*.zarr/*.json": spoil_zarr, "*/.z*": spoil_zarr, "*": spoil_bytes},
            _open,
            _zarr_hostile,
            names=("case",),
        ),
    ]


def _open(folder: Path) -> object:
    """Read the case and compare its grid; more voxels than the file holds would be made up."""
    [path] = [path for path in folder.iterdir() if path.name.startswith("case")]
    volume = read(path)
    assert volume.array.nbytes < MOST_BYTES, f"{volume.array.nbytes} bytes"
    assert b"do not read me" not in volume.array.tobytes(), "another file's bytes"
    assert volume.array.ndim in (3, 4)
    check_same_grid((path, volume), (path, replace(volume, origin=(0.0, 0.0, 0.0))))
    return volume.array.sum(dtype=np.float64) if volume.array.dtype.kind != "c" else None


@cache
def _array() -> Any:
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint16)


def _made(ending: str, like: Volume | None = None) -> list[Tree]:
    """The same voxels as 8, 16 and 32 bits, one file or folder each."""
    trees = []
    for kind in (np.uint8, np.uint16, np.float32):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder, f"case.{ending}"), _array().astype(kind), like)
            trees.append(files_below(Path(folder)))
    return trees


def files_below(folder: Path) -> Tree:
    """Return a folder's files as a tree."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _tiff_seeds() -> list[Tree]:
    import tifffile

    trees = _made("tif", NANO) + _made("tif")
    for options in (
        {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0, "unit": "um", "zunit": "nm"}},
        {"compression": "zlib", "tile": (16, 16)},
        {"compression": "packbits", "photometric": "minisblack"},
        {"bigtiff": True, "metadata": None},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 2},
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, _array(), **options)
        trees.append({"case.tif": file.getvalue()})
    return trees


def _ome_of_two_files() -> bytes:
    """A first plane in the file itself, and a second one elsewhere."""
    import tifffile

    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(("case.tif", "../outside/secret"))
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        'SizeX="16" SizeY="16" SizeZ="2" SizeC="1" SizeT="1">'
        f"{planes}</Pixels></Image></OME>"
    )
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((1, 16, 16), np.uint8), description=xml, metadata=None)
    return file.getvalue()


def _tiff_hostile() -> list[Tree]:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((64, 512, 512), np.uint8), compression="zlib")
    bomb = file.getvalue()
    [huge] = [t["case.tif"] for t in _tiff_seeds()[-2:-1]]
    lying = huge.replace(struct.pack("<H", SHAPE[2]), struct.pack("<H", 65000))
    return [
        {"case.tif": data}
        for data in (b"", b"II*\x00", b"MM\x00*", bomb, lying, bytes(100), _ome_of_two_files())
    ]


def _nifti_seeds() -> list[Tree]:
    import nibabel

    trees = _made("nii") + _made("nii", NANO)
    image: Any = nibabel.Nifti2Image(_array().astype(np.int16), np.eye(4))
    return [*trees, {"case.nii": image.to_bytes()}]


def _gzip_seeds() -> list[Tree]:
    return [{"case.nii.gz": gzip.compress(tree["case.nii"])} for tree in _nifti_seeds()]


def _nifti_claims() -> list[bytes]:
    """Headers that claim more voxels than follow."""
    claims = []
    for edges in ((10_000, 10_000, 10_000), (32767, 32767, 1000), (-5, 7, 6), (0, 7, 6), (1, 1, 1)):
        data = bytearray(_nifti_seeds()[0]["case.nii"])
        struct.pack_into("<8h", data, 40, 3, *edges, 1, 1, 1, 1)
        claims.append(bytes(data))
    return claims


def _nifti_hostile() -> list[Tree]:
    return [{"case.nii": data} for data in (b"", b"\x5c\x01\x00\x00", *_nifti_claims())]


def _gzip_hostile() -> list[Tree]:
    data = bytearray(_nifti_seeds()[0]["case.nii"])
    struct.pack_into("<8h", data, 40, 3, 1000, 1000, 3000, 1, 1, 1, 1)
    bomb = gzip.compress(bytes(data) + bytes(200 * 2**20), 9)
    packed = [gzip.compress(claim) for claim in _nifti_claims()]
    return [{"case.nii.gz": data} for data in (b"", b"\x1f\x8b", gzip.compress(b""), bomb, *packed)]


def _nrrd_hostile() -> list[Tree]:
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: {0}\nencoding: {1}\n{2}"
    texts = [
        head.format("10000 10000 10000", "raw", "\n"),
        head.format("1000 1000 2000", "raw", "\n"),
        head.format("1000 1000 2000", "gzip", "\n"),
        head.format("4 4 4", "raw", "data file: ../outside/secret\n\n"),
        head.format("4 4 4", "raw", "datafile: ../outside/secret\n\n"),
        head.format("4 4 4", "raw", "data file: /etc/passwd\n\n"),
        head.format("4 4 4", "text", "byte skip: 3\ndata file: /etc/passwd\n\n"),
        head.format("4 4 2", "raw", "data file: LIST\n../outside/secret\n../outside/secret\n"),
        head.format("4 4 4", "raw", "data file: ../outside/secr%c.t 1 1 1\n\n"),
        head.format("-4 4 4", "raw", "\n"),
        head.format("0 4 4", "raw", "\n"),
        head.format("4 4 4", "bzip2", "\n"),
        head.format("4 4 4", "raw", "byte skip: 1000000000000\n\n"),
        head.format("4 4 4", "raw", "line skip: 1000000000000\n\n"),
        head.format("4 4 4", "raw", "# x\rdata file: ../outside/secret\n\n"),
    ]
    return [{"case.nrrd": text.encode() + bytes(64)} for text in texts] + [{"case.nrrd": b""}]


def _mha_hostile() -> list[Tree]:
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = {0}\nElementType = MET_UCHAR\n"
        "{1}ElementDataFile = {2}\n"
    )
    texts = [
        head.format("10000 10000 10000", "", "LOCAL"),
        head.format("1000 1000 2000", "", "LOCAL"),
        head.format("1000 1000 2000", "CompressedData = True\n", "LOCAL"),
        head.format("4 4 4", "", "../outside/secret"),
        head.format("4 4 4", "", "/etc/passwd"),
        head.format("4 4 2", "", "LIST\n../outside/secret\n../outside/secret"),
        head.format("4 4 2", "", "../outside/secret%d 1 2 1"),
        head.format("4 4 4", "elementdatafile = LOCAL\n", "../outside/secret"),
        head.format("4 4 4", "elementdatafile = LOCAL\n", "%s%s%s%n%s%s 1 4 1"),
        head.format("-4 4 4", "", "LOCAL"),
        head.format("0 4 4", "", "LOCAL"),
        head.format("4 4 4", "HeaderSize = -1\n", "LOCAL"),
        head.format("4 4 4", "ElementNumberOfChannels = 1000000000\n", "LOCAL"),
    ]
    return [{"case.mha": text.encode() + bytes(64)} for text in texts] + [{"case.mha": b""}]


class _Runs:
    """Pickled, it writes a file when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("owned", "w")


def _npy_hostile() -> list[Tree]:
    inputs = [b"", b"\x93NUMPY", pickle.dumps(_Runs())]
    file = io.BytesIO()
    np.save(file, np.array([[[_Runs()]]], dtype=object), allow_pickle=True)
    inputs.append(file.getvalue())
    for shape in ("(100000, 10000, 1000)", "(1000, 1000, 2000)", "(-1, 4, 4)", "(0, 4, 4)", "()"):
        for kind in ("|u1", "|O", "|V3", "<U8", "<c8", "|S4", "<M8[s]"):
            text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
            text += b" " * (-(len(text) + 11) % 64) + b"\n"
            inputs.append(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
    return [{"case.npy": data} for data in inputs]


def _zarr_seeds() -> list[Tree]:
    import zarr

    trees = _made("zarr")[:2] + _made("zarr", NANO)[:2]
    with tempfile.TemporaryDirectory() as folder:
        node: Any = zarr.create_array(
            f"{folder}/case.zarr", shape=SHAPE, chunks=(4, 4, 4), dtype="uint8", zarr_format=2
        )
        node[...] = _array()
        trees.append(files_below(Path(folder)))
    return trees


def _zarr_hostile() -> list[Tree]:
    plain, ome, second = _zarr_seeds()[0], _zarr_seeds()[2], _zarr_seeds()[4]
    array = json.loads(plain["case.zarr/zarr.json"])
    changes: list[dict[str, Any]] = [
        {"shape": [10_000, 10_000, 10_000]},
        {"shape": [1000, 1000, 2000]},
        {"shape": [-1, 4, 4]},
        {"shape": [0, 4, 4]},
        {"shape": []},
        {"codecs": [{"name": "none_such"}]},
        {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]},
        {"data_type": "object"},
        {"data_type": "r8"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 1, 1]}}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**9, 10**9, 1]}}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "../"}}},
        {"storage_transformers": [{"name": "x"}]},
        {"node_type": "group"},
        {"zarr_format": 7},
        {"fill_value": "x" * 1000},
    ]
    head = "case.zarr/zarr.json"
    trees = [{**plain, head: json.dumps(array | change).encode()} for change in changes]
    group = json.loads(ome[head])
    for place in ("../../outside/secret", "/etc", "..", "0/../..", "", "none", 5):
        group["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = place
        trees.append({**ome, head: json.dumps(group).encode()})
    old = json.loads(second["case.zarr/.zarray"])
    others = ({"filters": [{"id": "pickle"}]}, {"compressor": {"id": "x"}}, {"dtype": "|O"})
    trees += [{**second, "case.zarr/.zarray": json.dumps(old | one).encode()} for one in others]
    code = {"case.zarr/0.0.0": pickle.dumps(_Runs())}
    for changes_of_2 in (
        {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]},
        {"dtype": "<M8[s]", "filters": [{"id": "pickle"}]},
    ):
        trees.append(
            {**second, **code, "case.zarr/.zarray": json.dumps(old | changes_of_2).encode()}
        )
    [chunk] = [name for name in plain if name.startswith("case.zarr/c/")][:1]
    for special in (Pipe(), Link(b"/dev/zero"), Link(b"../" * 6 + b"outside/secret")):
        trees += [{**plain, chunk: special}, {**plain, head: special}]
    return [*trees, {"case.zarr/x": b""}, {"case.zarr": b"a file"}, {head: b""}]
