"""Files meant to do harm: nothing of them is run, nothing lies elsewhere afterwards."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from vesuv.config import Config
from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.layouts import scan_cases
from vesuv.data.nnunet import check_dataset_json
from vesuv.errors import InputError
from vesuv.inference.best_file import open_best
from vesuv.inference.networks import TrainedNetwork
from vesuv.models import build_model
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.writer import RunWriter
from vesuv.runtime.machine import resolve
from vesuv.training.train_state import TrainState
from vesuv.transforms.normalize import Normalizer


class Runs:
    """Pickled, it runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch owned",)


def a_state(config: Config, folder: Path) -> TrainState:
    network = build_model(config.model)
    run, machine = RunFolder(folder / "run"), resolve(config.runtime)
    return TrainState(config, Normalizer(name="zscore"), run, network, 5, machine)


@pytest.fixture
def last(tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """last.pt of a run; the test's own folder is the present one."""
    monkeypatch.chdir(tmp_path)
    run = RunFolder(tmp_path / "run")
    run.create(tiny_config, {"fold": 0, "data_fingerprint": "a", "validation_cases": ["c0"]})
    a_state(tiny_config, tmp_path).save_last()
    return run.checkpoint("last")


def rewrite(path: Path, **changes: Any) -> None:
    content = torch.load(path, weights_only=True) | changes
    torch.save(content, path)


def laughs() -> Any:
    value: Any = ["x"] * 10
    for _ in range(9):
        value = [value] * 10
    return value


@pytest.mark.parametrize("part", ["model", "config", "training", "extra"])
def test_a_checkpoint_runs_nothing(last: Path, part: str) -> None:
    rewrite(last, **{part: Runs()})
    before = sorted(Path().rglob("*"))

    with pytest.raises(InputError, match=r"last\.pt: damaged or no checkpoint \(it holds a posix"):
        read_checkpoint(last)

    assert sorted(Path().rglob("*")) == before


def test_a_checkpoint_whose_records_are_packed_is_not_unpacked(last: Path) -> None:
    with (
        zipfile.ZipFile(last, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("last/data/999", "w") as record,
    ):
        record.write(bytes(2**20))

    with pytest.raises(
        InputError, match=r"last\.pt: damaged or .* \(its record .* is compressed\)"
    ):
        read_checkpoint(last)


@pytest.mark.parametrize("name", ["../../../owned", "/owned"])
def test_a_record_with_a_path_for_a_name_is_written_nowhere(last: Path, name: str) -> None:
    with zipfile.ZipFile(last, "a") as archive:
        archive.writestr(name, b"x")
    before = sorted(Path("..").rglob("*"))

    with pytest.raises(InputError, match=r"last\.pt: damaged or no checkpoint \("):
        read_checkpoint(last)

    assert sorted(Path("..").rglob("*")) == before
    assert not Path("/owned").exists()


@pytest.mark.parametrize(
    ("part", "value", "sentence"),
    [
        ("version", laughs(), "checkpoint version must be 1 to 2, found list"),
        ("version", torch.zeros(1).expand(10**5, 10**5, 100), "version must be a dense tensor"),
        ("config", laughs(), "stands for more than 100000 values"),
        ("config", {}, "data: missing"),
        ("normalizer", laughs(), "normalizer: not as vesuv writes it"),
        ("normalizer", {"name": "range", "low": "x"}, "normalizer: not as vesuv writes it"),
        ("model", {"weight": "x"}, "model: not as vesuv writes them"),
        ("epoch", "1", "epoch: not as vesuv writes them"),
        ("training", [], "training: not as vesuv writes them"),
        ("measure", "x", "measure: not as vesuv writes them"),
    ],
)
def test_parts_of_another_kind_are_refused_by_name(
    last: Path, part: str, value: Any, sentence: str
) -> None:
    rewrite(last, **{part: value})

    with pytest.raises(InputError, match=rf"last\.pt: .*{sentence}"):
        read_checkpoint(last)


@pytest.mark.parametrize("filters", [100_000, 10**15])
def test_a_network_beyond_all_memory_is_refused_before_it_is_built(
    last: Path, filters: int
) -> None:
    config = torch.load(last, weights_only=True)["config"]
    rewrite(last, config=config | {"model": config["model"] | {"filters": filters}})

    with pytest.raises(
        InputError, match=r"last\.pt: (its weights do not fit|model: plain_unet of)"
    ):
        TrainedNetwork.from_checkpoint(read_checkpoint(last), torch.device("cpu"))


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": {}},
        {"schedule": {"lr": 1}},
        {"progress": []},
        {"progress": {"nonsense": 1}},
    ],
)
def test_a_training_state_of_another_kind_is_refused(
    last: Path, tiny_config: Config, change: dict[str, Any]
) -> None:
    state = torch.load(last, weights_only=True)["training"]
    rewrite(last, training=state | change)

    with pytest.raises(InputError, match=r"last\.pt: its training state is not this run's \("):
        a_state(tiny_config, last.parent).restore(read_checkpoint(last))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fold", "../x"),
        ("fold", True),
        ("data_fingerprint", None),
        ("validation_cases", "c0"),
        ("validation_cases", [1]),
        ("started", 5),
    ],
)
def test_a_fact_of_another_kind_is_refused_by_name(last: Path, key: str, value: Any) -> None:
    run = RunFolder(last.parents[1])
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(facts | {key: value}))

    with pytest.raises(InputError, match=rf"run\.json: {key}\S*: Input should be .*, found"):
        _ = run.facts


@pytest.mark.parametrize("run", ["x" * 5000, "/etc/passwd", "..", ""])
def test_a_choice_names_runs_and_nothing_else(last: Path, run: str) -> None:
    member = {"run": run, "checkpoint": "last", "checkpoint_sha256": "0"}
    best = {"version": 1, "threshold": 0.5, "postprocess": [], "members": [member]}
    Path("best.json").write_text(json.dumps(best))

    with pytest.raises(InputError, match="not a run folder"):
        open_best(Path("best.json"))


@pytest.mark.parametrize("value", [None, "x", [], {}, float("nan"), float("inf"), "../x"])
def test_labels_of_a_dataset_json_are_numbers(tmp_path: Path, value: Any) -> None:
    labels = {"background": 0, "sheet": 1, "odd": value if value != [] else [[]]}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    ours = LabelsConfig(classes={"background": 0, "sheet": 1})

    with pytest.raises(InputError, match=r"dataset\.json: labels: class name -> number, found"):
        check_dataset_json(tmp_path, ours)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/b", "train_images/c1"])
def test_an_id_of_train_csv_names_a_file_of_the_folder_or_nothing(
    tmp_path: Path, name: str
) -> None:
    for kind in ("images", "labels"):
        (tmp_path / f"train_{kind}").mkdir()
        (tmp_path / f"train_{kind}" / "c1.tif").write_bytes(b"x")
    (tmp_path / "x.tif").write_bytes(b"x")
    (tmp_path / "train.csv").write_text(f"id\n{name}\n")

    cases, faults = scan_cases(DataConfig(root=str(tmp_path)))

    assert cases == []
    assert faults == [
        f"{tmp_path}/train.csv: case {name} has no file in train_images nor in train_labels; add "
        "the file or take the line out"
    ]


def test_a_checkpoint_that_was_written_by_torch_alone_is_told_apart(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save([1, 2], file)
    (tmp_path / "a.pt").write_bytes(file.getvalue())

    with pytest.raises(InputError, match=r"a\.pt: checkpoint version must be 1 to 2, found list"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "content",
    [b"step;loss\n0;1\n", b"epoch\n0\xff\n", b"epoch\n" + b"0" * 200_000 + b"\n", b"loss\n1\n"],
)
def test_a_table_that_was_changed_by_hand_is_not_written_over(last: Path, content: bytes) -> None:
    path = last.parents[1] / "metrics.csv"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"metrics\.csv: is not the table that training wrote \("):
        RunWriter(RunFolder(last.parents[1]), (1, 0))

    assert path.read_bytes() == content
