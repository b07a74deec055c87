"""The shipped configurations, their keys and values changed, and YAML meant to do harm."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

from vesuv.config import Config, dump_config, load_config
from vesuv.config.load import parse_yaml
from vesuv.config.section import Section

from .mutations import Tree, spoil_yaml
from .target import Target

_SHIPPED = Path(__file__).parents[2] / "configs"
_NAMED = ("case.yaml", "base")


def targets() -> list[Target]:
    """Return the configuration file and the changes of the command line."""
    return [
        Target(
            "configuration",
            _seeds,
            {"*.yaml": spoil_yaml},
            _open,
            _hostile,
            names=_NAMED,
            elsewhere=True,
        ),
        Target(
            "--set changes",
            lambda: [{**tree, "changes.txt": b"train.epochs=3"} for tree in _seeds()[:3]],
            {"changes.txt": _changes},
            _change,
            names=(*_NAMED, "--set"),
            special=False,
        ),
    ]


def _open(folder: Path) -> object:
    return _same(load_config(folder / "case.yaml"))


def _change(folder: Path) -> object:
    text = (folder / "changes.txt").read_bytes().decode("utf-8", "replace")
    return _same(load_config(folder / "case.yaml", text.split("\n")))


def _same(config: Config) -> Config:
    """What is written into the run's folder must be the configuration that was read."""
    again = Config.model_validate(_tuples(parse_yaml(dump_config(config), "dump")))
    assert again == config, "not the same after writing and reading"
    assert Path(config.name).name == config.name, "the run would lie elsewhere"
    return config


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _seeds() -> list[Tree]:
    """Each configuration with its bases in one folder."""
    trees = []
    for path in sorted(_SHIPPED.rglob("*.yaml")):
        if path.name == "base.yaml" or "studies" in path.parts:
            continue
        tree: Tree = {}
        name = "case.yaml"
        while True:
            text = path.read_text(encoding="utf-8")
            base = re.search(r"^base: (.*)$", text, re.MULTILINE)
            if not base:
                tree[name] = text.encode()
                break
            tree[name] = text.replace(base[0], f"base: base{len(tree)}.yaml").encode()
            name, path = f"base{len(tree) - 1}.yaml", path.parent / base[1]
        trees.append(tree)
    return trees


def _hostile() -> list[Tree]:
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    good = _seeds()[0]["case.yaml"].decode()
    texts: list[str | bytes] = [
        "",
        "\x00",
        "5",
        "- a",
        "[" * 1200,
        "{a: " * 1200,
        "a: " * 3000,
        "- " * 3000,
        laughs,
        good + "\n" + laughs,
        "labels: &a {classes: *a}",
        "data: &a [*a]",
        "? [a, b]\n: 1",
        "!!python/object/apply:os.system ['touch owned']",
        "name: !!python/object/apply:os.system ['touch owned']",
        "name: !!python/name:os.system",
        "name: !<tag:yaml.org,2002:python/object/new:open> [owned, w]",
        "name: !!binary gICA",
        "name: !!timestamp 2001-12-14t21:59:43.10-05:00",
        "name: !!set {a, b}",
        "name: !!omap [a: 1]",
        "name: !!int x",
        "name: !!float x",
        "name: !!bool x",
        "name: !!int ''",
        "<<: {name: x}\n" + good,
        "%YAML 9.9\n---\na: b",
        "---\na: b\n---\nc: d",
        "&a : *a",
        "*a : b",
        "a: 1" + "0" * 10_000,
        "a: 1e" + "9" * 400,
        "x" * 3_000_000,
        "a: '" + "x" * 3_000_000 + "'",
        b"\xff\xfe" + good.encode("utf-16-le"),
        b"\xef\xbb\xbf" + good.encode(),
        b"\xff\xff\xff",
        good.encode("utf-16"),
        good.replace("\n", "\r"),
        good.replace("  ", "\t"),
        *(good + f"\nname: {name}\n" for name in ("../../x", "/x", "..", "''", ".", "a/b", "'\0'")),
        *(
            f"base: {base}\n"
            for base in (
                "case.yaml",
                "./case.yaml",
                ".",
                "..",
                "/",
                "/dev/zero",
                "/dev/stdin",
                "/etc/passwd",
                "/proc/self/mem",
                "/bin/ls",
                "none.yaml",
                "''",
                "'a\\0b'",
                '"a\\0b"',
                "[a]",
                "{}",
                "5",
                "x" * 5000,
                "~",
                "../outside/secret",
            )
        ),
    ]
    loop = {"case.yaml": b"base: base1.yaml", "base1.yaml": b"base: base2.yaml"}
    chain = {f"base{i}.yaml": f"base: base{i + 1}.yaml\n".encode() for i in range(60)}
    return [
        *({"case.yaml": t if isinstance(t, bytes) else t.encode()} for t in texts),
        {**loop, "base2.yaml": b"base: case.yaml"},
        {**chain, "case.yaml": b"base: base0.yaml"},
        {"case.yaml/x": b""},
    ]


_TEXTS = (
    *("1", "-1", "0", "1e308", "1e999", ".inf", ".nan", "1" * 5000, "''", "", "null", "true", "[]"),
    *("{}", "[[1]]", "[1, 2, 3]", "[16, 16, 16]", "{name: x}", "*a", "&a [*a]", "[" * 1000, "a: b"),
    *("!!python/name:os.system", "../../x", "/etc/passwd", "{a: {b: {c: d}}}", "'\ud800'", "\x00"),
)


def _changes(_content: bytes, draw: random.Random) -> bytes:
    """One to four changes of keys that are there, nearly there, or not."""
    names = _names(Config, "")
    lines = []
    for _ in range(draw.randrange(1, 5)):
        key = draw.choice(names)
        kind = draw.randrange(6)
        if kind == 0:
            key += draw.choice((".", ".x", ".0", ".name", "..", ".-1", "." + "9" * 30))
        elif kind == 1:
            key = key.replace("e", draw.choice(("", "ee", "\x00", " ")))
        elif kind == 2:
            key = ".".join(draw.choices(key.split("."), k=draw.randrange(1, 60)))
        lines.append(f"{key}{draw.choice(('=', '=', '=', '', '==', ':'))}{draw.choice(_TEXTS)}")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _names(section: type[Section], prefix: str) -> list[str]:
    names = []
    for key, field in section.model_fields.items():
        names.append(prefix + key)
        for part in _sections(field.annotation):
            names += _names(part, f"{prefix}{key}.")
    return names


def _sections(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [s for part in getattr(annotation, "__args__", ()) for s in _sections(part)]
