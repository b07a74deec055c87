import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import vesuv
from tests.cli.conftest import Refused, Run
from vesuv.cli import main
from vesuv.cli.command_line import make_app
from vesuv.errors import RESUME, InputErrors, Interrupted, command

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "configs/demo.yaml"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    for folder in ("one", "two", "labels"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.ones((2, 2, 2), dtype=np.uint8))
    return tmp_path


def test_help_names_every_verb_and_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from vesuv.cli import main\n"
        "assert 'cyclopts' not in sys.modules\n"  # Ctrl-C while it loads is met in `main`
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'SimpleITK' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    verbs = {path.stem for path in (REPOSITORY / "bin").glob("*.py")}
    assert verbs and all(verb in done.stdout for verb in verbs)


def test_ctrl_c_while_the_command_line_loads_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class CtrlC:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "vesuv.cli.command_line":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "vesuv.cli.command_line")
    monkeypatch.setattr(sys, "meta_path", [CtrlC, *sys.meta_path])

    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 130


def test_a_script_in_bin_is_its_verb() -> None:
    for path in (REPOSITORY / "bin").glob("*.py"):
        assert f'main(["{path.stem}", *sys.argv[1:]])' in path.read_text()


GROUPS = {
    "config": ["show"],
    "curves": ["evaluate", "hough", "masks", "phantom", "predict", "train"],
}
VERBS = {path.stem for path in (REPOSITORY / "bin").glob("*.py")} - set(GROUPS)
VERBS |= {f"{group} {verb}" for group, verbs in GROUPS.items() for verb in verbs}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_a_verb_explains_every_option(
    verb: str, capsys: pytest.CaptureFixture[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run(*verb.split(), "-h")

    rows = [line.strip("│* ") for line in capsys.readouterr().out.splitlines()]
    options = [row for row in rows if row.startswith("--")]
    assert options
    for row in options:
        name, _, text = row.partition("  ")
        assert text.strip(), name


def test_help_is_given_behind_any_option(capsys: pytest.CaptureFixture[str], run: Run) -> None:
    run("train", "--config", DEMO, "--fold", 0, "-h")

    assert "--resume" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str], run: Run) -> None:
    run("--version")

    assert capsys.readouterr().out.strip() == vesuv.__version__


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (("--set", "a=1", "b=2"), ("a=1", "b=2")),
        (("--set=a=1", "b=2"), ("a=1", "b=2")),
        (("--set", "a=1", "--set", "b=2"), ("a=1", "b=2")),
        (("--set", "a=-1", "b=[1, 2]", "c={x: 3}"), ("a=-1", "b=[1, 2]", "c={x: 3}")),
    ],
)
def test_an_option_takes_several_values(words: tuple[str, ...], changes: tuple[str, ...]) -> None:
    _, bound, _ = make_app().parse_args(
        ["train", "--config", "x", "--fold", "0", "1", *words, "--resume"]
    )

    assert bound.kwargs["fold"] == ("0", "1")
    assert bound.kwargs["changes"] == changes
    assert bound.kwargs["resume"] is True


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "predict --input a --output b --device cpu --device cuda",
            "--device: is given",
        ),
        ("predict --input a --output b --device cpu cuda", "cuda: belongs to no option"),
        ("evaluate --predictions a --labels b --run c d", "d: belongs to no option"),
        ("train --config a --config b --fold 0", "--config: is given twice"),
        ("train --config a --fold", "--fold: needs a value"),
        ("train --config a --fold 0 --set", "--set: needs a value"),
        ("train --config a --fold 0 --set --resume", "--set: needs a value"),
        (
            "train --config a --fold 0 --set b.c=1 --set d=2 b.c=3",
            "error: --set: b.c is given twice; give it once\n",
        ),
        ("train --config a --fold 0 1 0", "error: --fold: 0 is given twice; give it once\n"),
        (
            "train --config a --fold 0 --set train.pretrained=b --pretrained c",
            "--pretrained: --set gives train.pretrained too; give it once",
        ),
        ("train --conf a --fold 0", "--config: needs a value; Did you mean --config"),
        ("train --fold 0", "--config: needs a value; see"),
        ("curves train --fold 0", "--config: needs a value; see vesuv curves train --help"),
        ("train x --config a --fold 0", "x: belongs to no option"),
        ("train --config a --fold 0 --resum", "Did you mean --resume?"),
        ("predict --input a --output b --threshold high", 'unable to convert "high" into float'),
        ("predict --input a --output b --views all --views none", "is given twice"),
        ("predict --input a --output b --postprocess all", "--postprocess"),
        ("phantom --output a --size 3", "Must be >= 32"),
        ("tran --config a", 'error: Unknown command "tran". Did you mean "train"? see --help'),
    ],
)
def test_what_was_not_meant_is_refused(refused: Refused, words: str, sentence: str) -> None:
    error = refused(*words.split())

    assert error.startswith("error: ") and error.count("\n") == 1
    assert sentence in error


def test_a_key_is_given_by_its_short_word_or_by_set_and_not_by_both(
    refused: Refused, tmp_path: Path
) -> None:
    words = ("predict", "--run", tmp_path, "--input", tmp_path, "--output", tmp_path / "o")

    error = refused(*words, "--views", "all", "--set", "inference.mirror=false")

    assert "--views: --set gives inference.views too; give it once" in error


def test_short_words_are_checked_as_the_keys_that_they_stand_for(
    refused: Refused, make_run, tmp_path: Path
) -> None:
    run = make_run("run")
    words = ("--run", run.path, "--input", tmp_path, "--output", tmp_path / "o")

    assert "inference.overlap: " in refused("predict", *words, "--overlap", "1.5")
    assert "inference.overlap: " in refused("predict", *words, "--overlap", "much")
    assert "runtime.device: " in refused("predict", *words, "--device", "tpu")
    assert "inference.overlap: " in refused(
        "validate_distribution", "--run", run.path, "--overlap", "-1"
    )


def test_a_fault_in_the_configuration_is_one_sentence(refused: Refused) -> None:
    config = REPOSITORY / "configs/v9_progressive.yaml"

    error = refused("train", "--config", config, "--fold", "0", "--set", "loss.dise.smooth=1")

    assert error == (
        "error: --set loss.dise.smooth=1: loss.dise: unknown key; nearest valid name: dice\n"
    )


def test_missing_data_is_one_sentence(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = REPOSITORY / "configs/v9_progressive.yaml"

    error = refused("prepare", "--config", config, "--set", "data.root=nowhere")

    assert error == (
        "error: data.root: nowhere is no folder; name the folder of the raw data (Kaggle "
        'competition "Vesuvius Challenge - Surface Detection", train_images, train_labels, '
        "train.csv) with "
        "--set data.root=...\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_several_faults_are_one_sentence_each(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputErrors(["a: first", "b: second [red]"])

    monkeypatch.setattr("vesuv.cli.prepare.load_config", fail)

    assert refused("prepare", "--config", "x") == "error: a: first\nerror: b: second [red]\n"


def test_a_signal_has_its_own_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise Interrupted("saved; --resume goes on")

    monkeypatch.setattr("vesuv.cli.prepare.load_config", stop)

    with pytest.raises(SystemExit) as end:
        main(["prepare", "--config", "x"])

    assert end.value.code == RESUME == 75
    assert capsys.readouterr().err == "saved; --resume goes on\n"


def test_a_fold_is_a_number_or_all(refused: Refused) -> None:
    sentence = "--fold: must be a number from 0, or all; found"

    for word in ("first", "-1", "²", "1.0"):
        assert f"{sentence} '{word}'" in refused("train", "--config", DEMO, "--fold", word)


def test_one_folder_holds_one_fold(refused: Refused) -> None:
    error = refused("train", "--config", DEMO, "--fold", 0, 1, "--output", "x")

    assert "--output: holds one run, found folds 0, 1" in error


def test_messages_name_a_verb_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    for called, name in (
        ("/somewhere/bin/vesuv", "vesuv predict"),
        ("bin/train.py", "python bin/predict.py"),
        ("/somewhere/vesuv/__main__.py", "python -m vesuv predict"),
        ("/a b/other.py", "vesuv predict"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        run("--version")

        assert command("predict") == name


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "--version"])

    runpy.run_module("vesuv", run_name="__main__", alter_sys=True)

    assert capsys.readouterr().out.strip() == vesuv.__version__
    assert command("predict") == "python -m vesuv predict"


def test_evaluate_takes_several_folders_and_measures(predictions: Path, run: Run) -> None:
    run(
        "evaluate", "--predictions", predictions / "one", predictions / "two",
        "--labels", predictions / "labels", "--output", predictions / "out",
        "--measures", "voi", "surface_dice@1", "--leaderboard", "bounds",
        "--classes", "background=0", "sheet=1", "--ignore", "2",
    )  # fmt: skip

    summary = yaml.safe_load((predictions / "out" / "summary.json").read_text())
    assert list(summary["predictions"]) == ["one", "two"]
    assert summary["measures"] == ["leaderboard:bounds", "voi", "surface_dice@1"]


def test_the_readme_names_only_verbs_and_configurations_that_are_there() -> None:
    words = (REPOSITORY / "README.md").read_text().split()
    named = {word for word in words if word.startswith(("bin/", "configs/")) and "." in word}

    assert named
    for word in named:
        assert (REPOSITORY / word.strip("`,:;()")).exists(), word


def test_shipped_yaml_is_short() -> None:
    for path in (REPOSITORY / "configs/history").glob("*.yaml"):
        assert len(yaml.safe_load(path.read_text())) <= 11, path
