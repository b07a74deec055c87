"""A bundle predicts what its runs predict, to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vesuv
from tests.inference.conftest import network_of
from vesuv.errors import InputError
from vesuv.inference.bundle import is_bundle, open_bundle, write_bundle
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.members import Member, file_digest, open_members
from vesuv.runs.folder import RunFolder

SMALL = {"name": "remove_small", "voxels": 30}
FACTS = {
    "training_images": {
        "spacing": {"low": [1, 1, 1], "median": [1, 1, 1], "high": [1, 1, 1]},
        "unit": "nm",
    }
}
MIDDLE = 0.3
"""Near the median of the probabilities of the untrained network."""
Damage = Callable[[Path], object]


def _image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (18, 20, 17)).astype(np.uint8)


def _select(run: RunFolder, **more: object) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.45, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def _bundle(folder: Path, members: list[Member], **options: object) -> Path:
    write_bundle(folder, members, "# card\n", **options)  # type: ignore[arg-type]
    return folder


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_bundle_predicts_what_its_run_predicts(make_run, tmp_path: Path) -> None:
    run = make_run("run", facts=FACTS)
    more = {"inference": {"overlap": 0.25, "views": "mirror"}, "calibration": {"temperature": 1.7}}
    _select(run, threshold=MIDDLE, postprocess=[SMALL], **more)

    model = vesuv.load(_bundle(tmp_path / "bundle", open_members([run.path])))

    trained = vesuv.load(run.path)
    assert np.array_equal(model.predict(_image()), trained.predict(_image()))
    assert np.array_equal(model.segment(_image()), trained.segment(_image()))
    assert np.array_equal(model.uncertainty(_image()), trained.uncertainty(_image()))
    calibrated = [one.predict(_image(), calibrated=True) for one in (model, trained)]
    assert np.array_equal(*calibrated)
    assert (model.mask, model.inference) == (trained.mask, trained.inference)
    assert model.domain == trained.domain
    assert 0.1 < model.segment(_image()).mean() < 0.9


def test_a_bundle_holds_the_weights_and_no_path_of_the_training_data(
    make_run, tmp_path: Path
) -> None:
    run = make_run("run", data__root="/home/name/secret", data__store="/home/name/store")

    bundle = _bundle(tmp_path / "bundle", open_members([run.path]), licence="CC-BY-4.0")

    (member,) = open_bundle(bundle)
    weights = network_of(run).state_dict()
    assert set(member.checkpoint.model) == set(weights)
    assert all(bool((member.checkpoint.model[key] == weights[key]).all()) for key in weights)
    assert not any(b"/home/name" in path.read_bytes() for path in bundle.iterdir())
    record = json.loads((bundle / "bundle.json").read_text())
    assert (record["format_version"], record["licence"]) == (1, "CC-BY-4.0")
    assert record["labels"]["classes"] == {"background": 0, "sheet": 1}
    assert record["files"] == {
        name: file_digest(bundle / name) for name in ("run_best.safetensors", "run_best.yaml")
    }
    assert (bundle / "model_card.md").read_text() == "# card\n"


def test_an_ensemble_keeps_its_weights_unless_others_are_given(make_run, tmp_path: Path) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[100.0]).path]
    members = open_members(runs)
    weighted = [
        Member(**{**vars(member), "weight": weight})
        for member, weight in zip(members, (3.0, 1.0), strict=True)
    ]
    bundle = _bundle(tmp_path / "bundle", weighted)
    image = np.zeros((16, 16, 16), np.uint8)

    assert np.allclose(vesuv.load(bundle).predict(image), 0.75 * 0.5 + 0.25 * 1.0)
    assert np.allclose(vesuv.load(bundle, weights=[1, 3]).predict(image), 0.25 * 0.5 + 0.75)
    two = vesuv.load([bundle, _bundle(tmp_path / "other", members[:1])])
    assert np.allclose(two.predict(image), (3 * 0.5 + 1.0 + 0.5) / 5)


def test_without_a_selection_no_command_is_advised_that_needs_the_run(
    make_run, tmp_path: Path
) -> None:
    bundle = _bundle(tmp_path / "bundle", open_members([make_run("run").path]))

    reason = choose_mask(open_bundle(bundle)).threshold_reason

    assert reason == (
        f"threshold 0.5, from validation.threshold; nothing was selected for {bundle} (run_best)"
    )


def test_networks_of_equal_names_get_numbers(make_run, tmp_path: Path) -> None:
    runs = [make_run("a/fold_0"), make_run("b/fold_0")]

    bundle = _bundle(tmp_path / "bundle", open_members([run.path for run in runs]))

    assert [one.name for one in open_bundle(bundle)] == ["fold_0_best_1", "fold_0_best_2"]


def test_the_selection_of_a_checkpoint_that_was_trained_on_stays_outdated(
    make_run, tmp_path: Path
) -> None:
    run = make_run("run")
    _select(run, checkpoint_sha256=file_digest(run.checkpoint("best")))
    (current,) = open_bundle(_bundle(tmp_path / "current", open_members([run.path])))
    _select(run, checkpoint_sha256="0" * 64)
    (outdated,) = open_bundle(_bundle(tmp_path / "outdated", open_members([run.path])))

    assert (current.is_outdated, outdated.is_outdated) == (False, True)


def test_settings_can_be_changed_and_others_are_refused(make_run, tmp_path: Path) -> None:
    run = make_run("run")
    _select(run, inference={"overlap": 0.25})
    bundle = _bundle(tmp_path / "bundle", open_members([run.path]))

    (member,) = open_bundle(bundle, ["inference.overlap=0.75"])

    assert member.inference.overlap == 0.75
    with pytest.raises(InputError, match=r"--set model\.filters=8: a trained run takes changes"):
        open_bundle(bundle, ["model.filters=8"])
    with pytest.raises(InputError, match=r"checkpoint: a bundle has none .* found 'best'"):
        vesuv.load(bundle, checkpoint="best")


def test_settings_that_a_run_got_after_training_are_kept(make_run, tmp_path: Path) -> None:
    run = make_run("run")
    _replace(run.config_file, "overlap: 0.5", "overlap: 0.25")
    _replace(run.config_file, "threshold: 0.5", "threshold: 0.4")

    model = vesuv.load(_bundle(tmp_path / "bundle", open_members([run.path])))

    assert (model.inference.overlap, model.mask.thresholds) == (0.25, (0.4,))


def test_bundles_that_cannot_be_averaged_are_refused(make_run, tmp_path: Path) -> None:
    runs = [make_run("a"), make_run("b", model__in_channels=2)]
    bundles = [_bundle(tmp_path / f"{n}", open_members([r.path])) for n, r in enumerate(runs)]

    with pytest.raises(InputError, match=r"1: runs of an ensemble must agree in model\.in_ch"):
        vesuv.load(bundles)


def test_only_a_bundle_is_replaced_and_only_when_asked(make_run, tmp_path: Path) -> None:
    members = open_members([make_run("run").path])
    bundle = _bundle(tmp_path / "bundle", members)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years")

    with pytest.raises(InputError, match=r"--output: .*bundle is a bundle already; name another"):
        write_bundle(bundle, members, "")
    with pytest.raises(InputError, match=r"other holds other files and no bundle\.json, so it is"):
        write_bundle(other, members, "", overwrite=True)
    with pytest.raises(InputError, match=r"thesis\.txt is no folder; name another one"):
        write_bundle(other / "thesis.txt", members, "", overwrite=True)
    write_bundle(bundle, members, "new", overwrite=True)
    assert (bundle / "model_card.md").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "bundle", "other"}


def test_a_bundle_that_cannot_be_written_whole_is_not_there(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = open_members([make_run("run").path])
    bundle = _bundle(tmp_path / "bundle", members)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save", fail)
    for folder in (bundle, tmp_path / "new"):
        with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
            write_bundle(folder, members, "new", overwrite=True)

    assert (bundle / "model_card.md").read_text() == "# card\n"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "bundle"}


def _other_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda b: (b / "bundle.json").unlink(),
            r"bundle: is no bundle \(no bundle\.json\); name a folder that vesuv export wrote",
        ),
        (
            lambda b: _replace(b / "bundle.json", '"format_version": 1', '"format_version": 2'),
            r"bundle\.json: bundle format_version must be 1, found 2 of a newer vesuv; update",
        ),
        (
            lambda b: _replace(b / "bundle.json", '"epoch": 3', '"epoch": -3'),
            r"bundle\.json: networks\.0\.epoch: .*, found -3; export the bundle anew",
        ),
        (
            lambda b: _replace(b / "bundle.json", '"name": "run_best"', '"name": "../run/a"'),
            r"bundle\.json: networks\.0\.name: .*'\.\./run/a'; export the bundle anew",
        ),
        (
            lambda b: (b / "run_best.safetensors").unlink(),
            r"run_best\.safetensors: file of the bundle cannot be read \(No such file or dir.*\);",
        ),
        (
            lambda b: _other_bytes(b / "run_best.safetensors"),
            r"safetensors: is not the file that bundle\.json records \(SHA-256 .*recorded",
        ),
        (
            lambda b: _replace(b / "run_best.yaml", "overlap: 0.5", "overlap: 0.6"),
            r"run_best\.yaml: is not the file that bundle\.json records",
        ),
    ],
)
def test_a_damaged_bundle_is_one_sentence(
    make_run, tmp_path: Path, damage: Damage, sentence: str
) -> None:
    bundle = _bundle(tmp_path / "bundle", open_members([make_run("run").path]))
    assert is_bundle(bundle)
    damage(bundle)

    with pytest.raises(InputError, match=sentence):
        open_bundle(bundle)


def _with_weights(bundle: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the tensors and record the digest of the changed file."""
    import safetensors.torch

    path = bundle / "run_best.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    digest = file_digest(path)
    safetensors.torch.save_file(tensors, path)
    _replace(bundle / "bundle.json", digest, file_digest(path))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda tensors: tensors.pop(next(iter(tensors))), r"[\w.]+ is missing"),
        (
            lambda tensors: tensors.update(extra=next(iter(tensors.values())).clone()),
            "extra is not known",
        ),
    ],
)
def test_missing_and_unknown_tensors_are_named(
    make_run, tmp_path: Path, change: Callable[[dict[str, object]], object], fault: str
) -> None:
    bundle = _bundle(tmp_path / "bundle", open_members([make_run("run").path]))
    _with_weights(bundle, change)

    with pytest.raises(InputError, match=rf"safetensors: its weights do not fit .*\({fault}\)"):
        vesuv.load(bundle)


def test_weights_in_another_format_are_refused(make_run, tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "bundle", open_members([make_run("run").path]))
    path = bundle / "run_best.safetensors"
    digest = file_digest(path)
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    _replace(bundle / "bundle.json", digest, file_digest(path))

    with pytest.raises(InputError, match=r"safetensors: is no safetensors file \(.*\); export"):
        open_bundle(bundle)
