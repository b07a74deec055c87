"""Ways to spoil a file: bytes, JSON and YAML trees, lines of text."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from typing import Any

import yaml

Tree = dict[str, bytes]
"""Path below a folder -> content of a file."""


class Link(bytes):
    """Stands for a symbolic link to this path."""


class Pipe(bytes):
    """Stands for a named pipe."""


SPECIAL_FILES = (
    Pipe(),
    *map(Link, (b"../outside/secret", b"../../../outside/secret", b"/dev/zero", b".", b"/")),
)
_HEADER = 600
_INTEGERS = (0, 1, 2, 127, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**63 - 1, -1, -(2**31))
_NUMBERS = (b"0", b"-1", b"1000000000000", b"99999999999999999999", b"1e308", b"nan", b"-inf", b"")
_VALUES: tuple[Any, ...] = (
    None,
    True,
    "",
    0,
    -1,
    2**31,
    10**12,
    10**40,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    [1, 2, 3, 4, 5],
    "../../../outside/secret",
    "/etc/passwd",
    "..",
    ".",
    "a\x00b",
    "a\nb",
    "é\u202e\ud800",
    "x" * 5000,
    "1",
    "-1",
    "nan",
)


def spoil_bytes(content: bytes, draw: random.Random) -> bytes:
    """Cut, flip, overwrite, drop, repeat or insert bytes; headers are hit more than voxels."""
    data = bytearray(content)
    if not data:
        return draw.randbytes(draw.randrange(64))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        kind = draw.randrange(9)
        place = draw.randrange(min(len(data), _HEADER) if draw.random() < 0.6 else len(data))
        length = draw.choice((1, 2, 4, 8, 64))
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[place] ^= 1 << draw.randrange(8)
        elif kind in (2, 3):
            data[place : place + 8] = _integer(draw)
        elif kind == 4:
            del data[place : place + length]
        elif kind == 5:
            data[place:place] = data[place : place + length] * draw.choice((1, 2, 50))
        elif kind == 6:
            data[place:place] = draw.randbytes(length)
        elif kind == 7:
            data[place : place + length] = bytes(length)
        else:
            data = bytearray(_other_number(bytes(data), draw))
        if not data:
            break
    return bytes(data)


def spoil_gzip(content: bytes, draw: random.Random) -> bytes:
    """Spoil what is packed, and pack it again; or spoil the package."""
    if draw.random() < 0.4:
        return spoil_bytes(content, draw)
    inside = zlib.decompress(content, wbits=31)
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(spoil_bytes(inside, draw)) + packer.flush()


def spoil_json(content: bytes, draw: random.Random) -> bytes:
    """Change a value somewhere in the tree, or the bytes."""
    if draw.random() < 0.25:
        return spoil_bytes(content, draw)
    tree = spoil_tree(json.loads(content), draw)
    return json.dumps(tree, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


_CODECS = ("pickle", "numcodecs.pickle", "vlen-utf8", "json2", "msgpack2", "categorize", "base64")
_TYPES = ("|O", "<M8[s]", "<U4", "|V8", "object", "string", "complex64", "numpy.datetime64", "r64")


def spoil_zarr(content: bytes, draw: random.Random) -> bytes:
    """Exchange data type, filters, compressor or codecs; or spoil the tree."""
    if draw.random() < 0.6:
        return spoil_json(content, draw)
    tree = json.loads(content)
    names = draw.choices((*_CODECS, "zlib", "zstd", "gzip", "delta"), k=draw.randrange(1, 4))
    version_2 = [{"id": name, "dtype": "|O"} for name in names]
    version_3 = [{"name": name, "configuration": {}} for name in names]
    changes = {
        "dtype": draw.choice(_TYPES),
        "data_type": draw.choice(_TYPES),
        "filters": version_2,
        "compressor": version_2[0],
        "codecs": draw.choice((version_3, [*tree.get("codecs", []), *version_3])),
        "fill_value": None,
    }
    for key in draw.sample(sorted(changes), draw.randrange(1, 4)):
        tree[key] = changes[key]
    return json.dumps(tree).encode()


_DATA_KEYS = (
    b"data file",
    b"datafile",
    b"ElementDataFile",
    b"elementdatafile",
    b"Element DataFile",
)
_DATA_FILES = (b"../outside/secret", b"LOCAL", b"LoCaL", b"%s%s%s%n 1 4 1", b"LIST", b"")


def spoil_header(content: bytes, draw: random.Random) -> bytes:
    """Put a line that names a data file into the header, or spoil bytes."""
    if draw.random() < 0.5:
        return spoil_bytes(content, draw)
    ends = [match.end() for match in re.finditer(rb"\n", content[:_HEADER])][:8]
    place = draw.choice(ends or [0])
    key, value = draw.choice(_DATA_KEYS), draw.choice(_DATA_FILES)
    key = draw.choice((key, key.upper(), key.replace(b" ", b"\t"), b" " + key, b"# x\r" + key))
    line = key + draw.choice((b": ", b" = ", b":", b":=")) + value + draw.choice((b"\n", b"\r"))
    return content[:place] + line + content[place:]


def spoil_yaml(content: bytes, draw: random.Random) -> bytes:
    """Change a value somewhere in the tree, or the lines."""
    if draw.random() < 0.4:
        return spoil_lines(content, draw)
    tree = spoil_tree(yaml.safe_load(content), draw)
    try:
        text = yaml.dump(tree, sort_keys=False)
    except RecursionError:  # JSON, which is YAML too, is written deeper
        text = json.dumps(tree)
    return text.encode("utf-8", "surrogatepass")


def spoil_lines(content: bytes, draw: random.Random) -> bytes:
    """Drop, repeat, swap, indent or lengthen lines, change a number, or spoil bytes."""
    lines = content.split(b"\n")
    place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    kind = draw.randrange(9)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(other, lines[place])
    elif kind == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 3:
        lines[place] = b" " * draw.randrange(1, 6) + lines[place]
    elif kind == 4:
        lines[place] += draw.choice(
            (b",", b": {", b"[" * 900, b"[" * 100_000, b"#" * 100_000, b"\x00", b"\xff")
        )
    elif kind == 5:
        lines[place] = draw.choice((b"&a ", b"*a", b"!!python/name:os.system ")) + lines[place]
    elif kind in (6, 7):
        return _other_number(content, draw)
    else:
        return spoil_bytes(content, draw)
    return b"\n".join(lines)


def spoil_tree(tree: Any, draw: random.Random) -> Any:
    """Give a node of nested lists and mappings another value, another name, or take it out."""
    places = list(_places(tree))
    for _ in range(draw.choice((1, 1, 2, 3))):
        parent, key = draw.choice(places) if places else (None, None)
        if parent is None or draw.random() < 0.02:
            return draw.choice(_VALUES)
        kind = draw.random()
        if kind < 0.6:
            _put(parent, key, _value(draw))
        elif kind < 0.75:
            _drop(parent, key)
        elif isinstance(parent, dict):
            parent[f"{key}{draw.choice(('', 's', '.', chr(0), 'x' * 300))}"] = _value(draw)
        else:
            parent.append(_value(draw))
    return tree


def _places(tree: Any) -> Any:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _put(parent: Any, key: Any, value: Any) -> None:
    if isinstance(parent, dict) or key < len(parent):
        parent[key] = value


def _drop(parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        parent.pop(key, None)
    elif key < len(parent):
        del parent[key]


def _value(draw: random.Random) -> Any:
    value = draw.choice(_VALUES)
    if draw.random() < 0.03:
        for _ in range(draw.choice((5, 90, 400))):
            value = [value] if draw.random() < 0.5 else {"a": value}
    return json.loads(json.dumps(value))


def _integer(draw: random.Random) -> bytes:
    size = draw.choice(("b", "h", "i", "q"))
    bits = 8 * struct.calcsize(size)
    value = draw.choice(_INTEGERS) % 2**bits
    return value.to_bytes(bits // 8, draw.choice(("little", "big")))


def _other_number(content: bytes, draw: random.Random) -> bytes:
    """Put another number in the place of one that is written out in the text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content[:20_000]))
    if not found:
        return content
    match = draw.choice(found)
    return content[: match.start()] + draw.choice(_NUMBERS) + content[match.end() :]
