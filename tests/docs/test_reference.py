"""The generated pages hold every key, verb and public name."""

from __future__ import annotations

import pytest

import vesuv
from docs.generate.configuration import keys_of, section_meanings
from docs.generate.pages import NAMES, generated_pages
from vesuv.cli.command_line import make_app


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generated_pages()


def test_the_page_of_the_configuration_has_a_row_for_each_key(pages: dict[str, str]) -> None:
    page = pages["reference/configuration.md"]
    keys = set(keys_of([key for section in section_meanings().values() for key in section.keys]))

    assert len(keys) > 150
    for key in keys:
        is_step_of_selection = key.startswith("selection.postprocess.")
        assert f"`{key}`" in page or is_step_of_selection, key
    assert "| `optimizer.lr` | number, above 0 | `0.0005` | Learning rate after warm-up. |" in page


def test_the_page_of_the_commands_has_each_verb_with_its_options(pages: dict[str, str]) -> None:
    page = pages["reference/commands.md"]
    verbs = [name for name in make_app() if name.isidentifier()]

    assert "train" in verbs
    for verb in verbs:
        assert f"\n## {verb}\n" in page
        assert f"vesuv {verb} " in page
    assert "* `--pretrained STR`: Start from a bundle, run or checkpoint file" in page


def test_the_page_of_python_has_each_public_name(pages: dict[str, str]) -> None:
    page = pages["reference/python.md"]

    for name in vesuv.__all__:
        assert name in ("losses", "__version__") or f"### vesuv.{name}\n" in page
    for loss in vesuv.losses.LOSSES.values():
        assert f"### vesuv.losses.{loss.__name__}\n" in page
    assert " at 0x" not in page


def test_generated_pages_are_not_written_by_hand_too(pytestconfig: pytest.Config) -> None:
    assert not [name for name in NAMES if (pytestconfig.rootpath / "docs" / name).exists()]
