"""CONTRIBUTING.md, the hooks of pre-commit and the Dockerfile name what is there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_map_of_the_house_names_folders_and_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:vesuv|tests|docs|bench|configs)/[\w/.<>-]*)`", text)

    assert len(named) > 25
    for name in named:
        assert "<" in name or (ROOT / name).exists(), name


def test_the_map_of_the_house_has_each_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "vesuv").iterdir() if (path / "__init__.py").is_file()}
    small = {"runs", "runtime", "studies", "curves"}
    """Rooms that a first change does not touch."""

    for room in rooms - small:
        assert f"vesuv/{room}" in text, room


def test_the_words_of_make_in_contributing_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    words = set(re.findall(r"make ([a-z-]+)", text))

    assert {"test", "check", "docs"} <= words
    assert words <= targets


def test_the_hooks_run_the_programs_of_make_check() -> None:
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in content["repos"] for hook in repo["hooks"]]
    check = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]

    assert all(entry.startswith(".venv/bin/") for entry in entries)
    programs = {entry.split()[0].removeprefix(".venv/bin/") for entry in entries}
    assert programs == set(re.findall(r"\$\(BIN\)/([\w-]+)", check))


def test_the_image_copies_files_that_are_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.+)", text, re.M) for word in line.split()[:-1]]

    assert {"pyproject.toml", "vesuv", "configs"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name


def test_the_image_installs_extras_that_exist() -> None:
    extras = re.findall(r'"\.\[([\w,]+)\]"', (ROOT / "Dockerfile").read_text())[0].split(",")
    text = (ROOT / "pyproject.toml").read_text()

    for extra in extras:
        assert re.search(rf"^{extra} = ", text, re.M), extra


def test_the_table_of_extras_is_that_of_the_package() -> None:
    text = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    part = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    extras = re.findall(r"^(\w+) = \[", part.split("\n[")[0], re.M)

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(extras)
