import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.config import Config, check, load_config
from vesuv.config.text import dump_yaml, parse_yaml, read_text
from vesuv.errors import InputError

TREE = {
    "name": "a",
    "data": {"root": "nowhere"},
    "labels": {"classes": {"background": 0, "sheet": 1}},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
}
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(9)
)


def test_a_few_lines_that_stand_for_a_thousand_million_values_are_refused() -> None:
    with pytest.raises(InputError, match=r"f: stands for more than 100000 values; .* without alia"):
        parse_yaml(LAUGHS, "f")


def test_an_alias_may_be_used_twice() -> None:
    assert parse_yaml("a: &it [1]\nb: *it\n", "f") == {"a": [1], "b": [1]}


@pytest.mark.parametrize("text", ["a: &it [*it]", "&it {a: *it}"])
def test_what_holds_itself_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="f: is nested in more than 50 levels; make it flatter"):
        parse_yaml(text, "f")


@pytest.mark.parametrize("text", ["[" * 1200, "{a: " * 1200])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="f: not valid YAML: nested too deeply"):
        parse_yaml(text, "f")


@pytest.mark.parametrize("text", ["!!bool x", "!!int ''", "!!float x", "!!timestamp x", "\x00"])
def test_a_tag_with_an_impossible_value_is_no_traceback(text: str) -> None:
    with pytest.raises(InputError, match=r"^f: .*not valid YAML: [^\n]*$"):
        parse_yaml(f"a: {text}", "f")


@pytest.mark.parametrize(
    "tag", ["!!python/name:os.system", "!!python/object/apply:os.system ['touch owned']"]
)
def test_a_tag_runs_nothing(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match="could not determine a constructor for the tag"):
        parse_yaml(f"name: {tag}", "f")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (".", "is no file; give a configuration in YAML"),
        ("/dev/zero", "is no file; give a configuration in YAML"),
        ("none.yaml", "no such configuration file"),
        ("'a\\0b'", "no such configuration file"),
        ("x" * 5000, "cannot be read as a configuration: File name too long"),
        ("latin.yaml", "cannot be read as a configuration: 'utf-8' codec"),
        ("long.yaml", "a configuration has at most 1048576 bytes, found 1048577"),
        ("list.yaml", r"a configuration is a mapping of sections, found \[1\]; vesuv init writes"),
        ("empty.yaml", "a configuration is a mapping of sections, found nothing in the file; "),
    ],
)
def test_a_base_that_is_none_is_told_with_the_file_that_names_it(
    tmp_path: Path, base: str, sentence: str
) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    (tmp_path / "long.yaml").write_bytes(b"#" * (2**20 + 1))
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    (tmp_path / "leaf.yaml").write_text(f"base: {base}\n")

    with pytest.raises(InputError, match=rf"leaf\.yaml: base: .*{sentence}"):
        load_config(tmp_path / "leaf.yaml")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(InputError, match=r"pipe\.yaml: is no file"):
        read_text(tmp_path / "pipe.yaml")


def test_a_chain_of_bases_has_an_end(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(f"base: {number + 1}.yaml\n")

    with pytest.raises(InputError, match=r"21\.yaml: base: files inherit from each other in a ci"):
        load_config(tmp_path / "0.yaml")


def test_a_mark_in_front_of_the_text_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfname: a\n")

    assert read_text(tmp_path / "a.yaml") == "name: a\n"


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", ".", "", "a\x00b", "a\nb", "a\\b"])
def test_the_name_of_a_run_is_that_of_one_folder(name: str) -> None:
    with pytest.raises(InputError, match="name: names one folder, without a path before it"):
        check(TREE | {"name": name}, "f")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_is_finite(value: float) -> None:
    with pytest.raises(InputError, match=r"f: optimizer\.lr: must be a finite number"):
        check(TREE | {"optimizer": {"name": "adamw", "lr": value}}, "f")


def test_a_tree_from_elsewhere_is_not_walked_without_end() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(InputError, match="f: is nested in more than 50 levels"):
        check(TREE | {"phases": endless}, "f")
    assert isinstance(check(TREE, "f"), Config)


@pytest.mark.parametrize("depth", [11, 10**9])
def test_a_network_has_no_more_levels_than_a_patch_can_halve(depth: int) -> None:
    with pytest.raises(InputError, match=r"f: model\.depth: must be at most"):
        check(TREE | {"model": {"depth": depth}}, "f")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
NUMBER_LIKE = st.text("0123456789.eE+-_x:", max_size=6)


@given(tree=st.dictionaries(NUMBER_LIKE | st.text(), SCALARS | NUMBER_LIKE | st.text()))
@pytest.mark.parametrize("flow", [None, False])
def test_what_is_dumped_is_read_back_unchanged(tree: dict[str, object], flow: bool | None) -> None:
    assert parse_yaml(dump_yaml(tree, flow=flow), "f") == tree
