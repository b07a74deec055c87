"""Commands of the pages against the real command line."""

from __future__ import annotations

import re

import pytest
from cyclopts import App, CycloptsError

from tests.docs.pages import Block, blocks, code_spans, page_names
from vesuv.cli.command_line import make_app

SHELL = ("bash", "sh", "console")
GLOBAL_OPTIONS = {"--help", "--version", "--install-completion"}
OF_OTHERS = {"--node-rank"}
"""Options of other programs that stand alone in a sentence."""


@pytest.fixture(scope="module")
def app() -> App:
    return make_app()


def verb_words(words: list[str]) -> list[str] | None:
    """Return verb and options of a line that calls vesuv; None for other programs."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]  # environment variables
    if words[:1] in (["vesuv"], ["srun"]) and "vesuv" in words:
        return words[words.index("vesuv") + 1 :]
    script = next((one for one in words if re.fullmatch(r"bin/\w+\.py", one)), None)
    if script is None:
        return None
    return [script[4:-3], *words[words.index(script) + 1 :]]


def filled_in(words: list[str]) -> list[str]:
    """Return words with a number for each variable; `$RESUME` may be empty, & is the shell's."""
    return [re.sub(r"\$\{?\w+\}?", "1", one) for one in words if one not in ("$RESUME", "&")]


def all_blocks() -> list[Block]:
    return [one for page in page_names() for one in blocks(page) if one.language in SHELL]


@pytest.mark.parametrize("page", page_names())
def test_each_command_of_a_page_is_one_that_exists(page: str, app: App) -> None:
    for block in blocks(page):
        if block.language not in SHELL:
            continue
        for words in block.commands:
            call = verb_words(words)
            if not call or call[0] in GLOBAL_OPTIONS or "…" in call:
                continue
            try:
                app.parse_args(filled_in(call), exit_on_error=False, print_error=False)
            except CycloptsError as fault:
                pytest.fail(f"{page}: {' '.join(words)}: {fault}")


def test_an_option_that_does_not_exist_is_found(app: App) -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(
            ["train", "--config", "a.yaml", "--fold", "0", "--epochs", "3"],
            exit_on_error=False,
            print_error=False,
        )


def test_there_are_commands_to_check() -> None:
    calls = [verb_words(words) for block in all_blocks() for words in block.commands]

    assert len([call for call in calls if call]) > 40
    assert verb_words(["CUDA_VISIBLE_DEVICES=0", "vesuv", "train"]) == ["train"]
    assert verb_words(["torchrun", "--nnodes", "2", "bin/train.py", "--fold"]) == [
        "train",
        "--fold",
    ]
    assert verb_words(["pip", "install", "."]) is None


@pytest.mark.parametrize("page", page_names())
def test_code_in_sentences_names_verbs_and_options_that_exist(page: str, app: App) -> None:
    verbs = {name for name in app if not name.startswith("-")}
    options = {verb: option_names(app, verb) for verb in verbs}
    known = set().union(*options.values()) | GLOBAL_OPTIONS
    for span in code_spans(page):
        words = span.split()
        if words[0] == "vesuv" and len(words) > 1 and words[1] not in GLOBAL_OPTIONS | {"<verb>"}:
            assert words[1] in verbs, f"{page}: {span}"
            allowed = options[words[1]] | GLOBAL_OPTIONS
        elif span.startswith("--"):
            allowed = known
        else:
            continue  # another program
        named = [word.split("=")[0] for word in words if re.match(r"--[a-z]", word)]
        named = [name for name in named if name not in OF_OTHERS]
        assert set(named) <= allowed, f"{page}: {span}"


def option_names(app: App, verb: str) -> set[str]:
    """Return the options of a verb and of the verbs below it."""
    names: set[str] = set()
    for one in [app[verb], *(app[verb][name] for name in app[verb] if not name.startswith("-"))]:
        if one.default_command is None:
            continue
        for argument in one.assemble_argument_collection():
            names |= set(argument.names)
    return names
