import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vesuv.config import check
from vesuv.config.data import FoldsConfig, SamplingConfig
from vesuv.data.builder import prepare
from vesuv.data.folds import load_folds
from vesuv.data.records import CaseAttributes, IndexRecord, read_record, write_record
from vesuv.data.sampling import PatchSampler
from vesuv.data.statistics import case_statistics, merge_statistics
from vesuv.data.store import Store, open_case
from vesuv.errors import InputError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared store of two cases."""
    root = tmp_path_factory.mktemp("records")
    z, _, _ = np.mgrid[:8, :8, :8]
    for kind in ("images", "labels"):
        (root / f"train_{kind}").mkdir()
        for name in ("a", "b"):
            tifffile.imwrite(root / f"train_{kind}/{name}.tif", (z % 3 == 0).astype(np.uint8))
    (root / "train.csv").write_text("id\na\nb\n")
    tree = {
        "name": "tiny",
        "data": {"root": str(root), "store": str(root / "store"), "folds": {"num": 2}},
        "labels": {"classes": {"background": 0, "sheet": 1}},
        "sampling": {"patch_size": [8, 8, 8]},
        "model": {"filters": 2, "depth": 1},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    }
    return prepare(check(tree, "test"), workers=1).path


@pytest.fixture
def store(whole: Path) -> Any:
    """The store; its small files are as they were afterwards."""
    kept = {
        path: path.read_bytes() for path in whole.rglob("*") if path.suffix in (".json", ".yaml")
    }
    yield whole
    for path, content in kept.items():
        path.write_bytes(content)


def change(path: Path, place: tuple[str, ...], value: Any) -> None:
    content = node = json.loads(path.read_text())
    for key in place[:-1]:
        node = node[key]
    if value is ...:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("cases",), ["../../a"], "cases.0: a case's id is a plain name, found '../../a'"),
        (("cases",), ["/etc/passwd"], "cases.0: a case's id is a plain name"),
        (("cases",), ["..", "a"], "cases.0: a case's id is a plain name"),
        (("cases",), ["a", "a"], "a case is listed twice"),
        (("cases",), [5], "cases.0: Input should be a valid string, found 5"),
        (("cases",), [], "cases: List should have at least 1 item"),
        (("settings", "data.root"), ..., "settings lack data.root"),
        (("settings", "labels.classes"), ..., "settings lack labels.classes"),
        (("fingerprint",), ..., "fingerprint: Field required"),
        (("dataset_statistics", "foreground", "count"), "x", "foreground.count: Input should be"),
    ],
)
def test_a_changed_index_is_refused_key_by_key(
    store: Path, place: tuple[str, ...], value: Any, sentence: str
) -> None:
    change(store / "store.json", place, value)

    with pytest.raises(InputError, match=rf"store\.json: a damaged store \(.*{sentence}.*--overwr"):
        Store.open(store)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("id",), "../../x", "id: a case's id is a plain name"),
        (("id",), "b", "holds case 'b'"),
        (("shape",), [8, 8], "shape"),
        (("shape",), [8, 8, -8], "shape.2: Input should be greater than or equal to 1"),
        (("spacing",), [1.0, 0.0, 1.0], "spacing.1: Input should be greater than 0"),
        (("dtype",), "object", "dtype: Input should be 'uint8'"),
        (("num_channels",), 2, "statistics need one entry for each of 2 channels"),
        (("num_classes",), 10**6, "num_classes: Input should be less than or equal to 255"),
        (("statistics", "mean"), True, "statistics.mean: Input should be a valid array"),
        (("statistics", "foreground", "quantiles"), [[0.0]], "at least 1001 items"),
        (("statistics", "median"), 0.0, "statistics.median: Unexpected keyword argument"),
        (("values",), {"x": 1}, "values.x"),
        (("unit",), "parsec", "unit: Input should be 'pm'"),
        (("native_shape",), [1, 2, 3], "native_shape and native_spacing stand together"),
    ],
)
def test_changed_attributes_of_a_case_are_refused(
    store: Path, place: tuple[str, ...], value: Any, sentence: str
) -> None:
    path = store / "cases" / "a.zarr" / "zarr.json"
    change(path, ("attributes", *place), value)

    with pytest.raises(InputError, match=rf"a\.zarr.*: a damaged store.*{sentence}"):
        open_case(path.parent)


@pytest.mark.parametrize("name", ["summary.json", "census.json"])
@pytest.mark.parametrize("place", [("patch_size",), ("values",), ("cases", "a", "foreground")])
def test_a_changed_summary_is_refused(store: Path, name: str, place: tuple[str, ...]) -> None:
    path = (store / "summary.json").rename(store / name)
    try:
        change(path, place, ...)

        with pytest.raises(InputError, match=rf"{name}: a damaged store \(.*: Field required"):
            Store.open(store)
    finally:
        path.rename(store / "summary.json")


@pytest.mark.parametrize("text", ["[1]", "{", "", "[" * 100_000, '{"version": 1}'])
def test_what_is_no_index_is_refused(store: Path, text: str) -> None:
    (store / "store.json").write_text(text)

    with pytest.raises(InputError, match=r"store\.json: (a damaged store|store version must be)"):
        Store.open(store)


def test_folds_that_are_no_text_are_refused(store: Path) -> None:
    opened = Store.open(store)
    (store / "folds.yaml").write_bytes(b"folds: \xff")

    with pytest.raises(InputError, match=r"folds\.yaml: cannot be read as a configuration: 'utf-8"):
        load_folds(opened, FoldsConfig(num=2))


def test_a_label_that_is_not_what_was_counted_is_refused(store: Path) -> None:
    case = open_case(store / "cases" / "a.zarr")
    label = np.memmap(case.path / "label/c/0/0/0", np.uint8, "r+")
    kept = label.copy()
    label[:] = 0
    try:
        sampler = PatchSampler.build(
            [case], SamplingConfig(patch_size=(8, 8, 8), batch_size=2, foreground_share=1.0), 0
        )
        with pytest.raises(InputError, match=r"a\.zarr: a damaged store: its label does not hold"):
            sampler.plan(0, 0)
    finally:
        label[:] = kept


def test_whole_numbers_of_any_length_are_floats(store: Path) -> None:
    path = store / "cases" / "a.zarr" / "zarr.json"
    change(path, ("attributes", "statistics", "mean"), [10**40])

    assert open_case(path.parent).statistics.mean == (1e40,)


def test_a_record_reads_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    label = (rng.random((4, 5, 6)) < 0.5).astype(np.uint8)
    statistics = case_statistics(image, label)
    attributes = CaseAttributes(
        version=1,
        id="a",
        group=None,
        shape=(4, 5, 6),
        spacing=(1.0, 0.1, 1e-7),
        num_channels=2,
        num_classes=2,
        dtype="float32",
        values={-1: 3, 0: 5},
        statistics=statistics,
    )
    pooled = merge_statistics([statistics, case_statistics(image, None)])
    settings = dict.fromkeys(("data.root", "data.layout", "data.spacing"), "")
    index = IndexRecord(
        version=1,
        fingerprint="f",
        settings=settings | {"labels.classes": {}, "labels.ignore": None},
        sources={"a.tif": [1, 2], "b.zarr": [1, 2, "d"]},
        cases=["a"],
        dataset_statistics=pooled,
    )

    for record in (attributes, index):
        write_record(tmp_path / "a.json", record)

        assert read_record(tmp_path / "a.json", type(record)) == record


def test_keys_that_say_nothing_are_left_out(tmp_path: Path, store: Path) -> None:
    content = json.loads((store / "cases" / "a.zarr" / "zarr.json").read_text())["attributes"]

    assert content["group"] is None
    assert not {"unit", "native_shape", "native_spacing"} & set(content)
