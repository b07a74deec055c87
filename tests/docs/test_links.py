"""Links, pictures and times of the pages."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest
import yaml

from docs.generate.pages import NAMES, generated_pages
from tests.docs.pages import DOCS, anchors, links, page_names, prose, text_of

MAX_PICTURE, MAX_STUDY_PICTURE, MAX_PICTURES = 60_000, 100_000, 3_000_000
"""Bytes of one picture, of one of a study, and of all."""


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return generated_pages()


def resolved(page: str, file: str) -> str:
    """Return the path below docs/ that a link leads to."""
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / file).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


@pytest.mark.parametrize("page", page_names())
def test_each_relative_link_leads_to_a_file_and_a_heading(
    page: str, generated: dict[str, str]
) -> None:
    for file, anchor in links(page):
        target = resolved(page, file) if file else page
        assert target in generated or (DOCS / target).is_file(), f"{page}: {file}"
        if anchor:
            text = generated.get(target) or text_of(target)
            assert anchor in anchors(text), f"{page}: {file}#{anchor}"


@pytest.mark.parametrize("page", page_names())
def test_each_page_says_how_long_it_takes(page: str) -> None:
    if page.startswith("studies/"):
        return
    second = text_of(page).split("\n\n")[1]

    assert re.fullmatch(r"\*[^*]+\*", second.strip()), page
    assert re.search(r"minute|second|hour", second), page


def test_the_menu_names_every_page_once() -> None:
    content = re.sub(r"!!python\S*", "", (DOCS.parent / "mkdocs.yml").read_text())
    menu: list[str] = []
    entries = [yaml.safe_load(content)["nav"]]
    while entries:
        for one in entries.pop():
            if isinstance(one, dict):
                entries += [v if isinstance(v, list) else [v] for v in one.values()]
            else:
                menu.append(one)

    written = [page for page in page_names() if not page.startswith("studies/")]
    assert sorted(menu) == sorted([*written, *NAMES]), "the hook adds the studies"


def test_pictures_are_small_and_shown() -> None:
    pictures = [
        path for path in (DOCS / "images").rglob("*") if path.suffix in (".png", ".svg", ".gif")
    ]
    shown = {
        resolved(page, file)
        for page in page_names()
        for file, _ in links(page)
        if "images/" in file
    }

    assert {str(path.relative_to(DOCS)) for path in pictures} == shown
    for path in pictures:
        limit = MAX_STUDY_PICTURE if path.parent.name == "studies" else MAX_PICTURE
        assert path.stat().st_size <= limit, path
    assert sum(path.stat().st_size for path in pictures) <= MAX_PICTURES


def test_a_dead_link_would_be_found(generated: dict[str, str]) -> None:
    assert resolved("gallery/losses.md", "../reference/python.md") in generated
    assert resolved("index.md", "nothing.md") not in generated
    assert not (DOCS / resolved("index.md", "nothing.md")).exists()
    assert "train" in anchors(generated["reference/commands.md"])
    assert "no-such-heading" not in anchors(text_of("index.md"))


def test_pages_name_no_files_of_the_repository_that_are_not_there() -> None:
    pattern = re.compile(r"`((?:bench|configs|examples|tests|vesuv|docs)/[\w/.-]+\.\w+)`")
    named = {name for page in page_names() for name in pattern.findall(prose(page))}

    assert named
    assert [name for name in named if not (Path(DOCS.parent) / name).is_file()] == []
