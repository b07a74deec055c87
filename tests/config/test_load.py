from pathlib import Path

import pytest

from vesuv.config import check, dump_config, load_config, parse_yaml
from vesuv.config.shipped import shipped_files
from vesuv.errors import InputError, InputErrors

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted(shipped_files().values())
V9 = REPOSITORY / "configs/v9_progressive.yaml"

MINIMAL = """
data: {root: somewhere}
labels: {classes: {background: 0, sheet: 1}}
phases: [{epochs: [0, null], weights: {dice: 1.0}}]
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_reads_back_unchanged(path: Path) -> None:
    config = load_config(path)

    assert check(parse_yaml(dump_config(config), "dump"), "dump") == config


def test_a_file_without_a_name_takes_its_own() -> None:
    assert load_config(V9).name == "v9_progressive"


@pytest.mark.parametrize(
    ("classes", "written", "outputs"),
    [
        ("{background: 0, bone: 1, dense: 2}", "", 3),
        ("{background: 0, bone: 1, dense: 2}", "model: {filters: 8}", 3),
        ("{background: 0, bone: [1, 2]}", "", 1),
        ("{background: 0, bone: 1}", "model: {out_channels: 2}", 2),
    ],
)
def test_the_number_of_logits_follows_from_the_classes(
    tmp_path: Path, classes: str, written: str, outputs: int
) -> None:
    text = MINIMAL.replace("{background: 0, sheet: 1}", classes)

    assert load_config(write(tmp_path, text + written)).model.out_channels == outputs


def test_one_logit_cannot_tell_three_classes_apart(tmp_path: Path) -> None:
    text = MINIMAL.replace("sheet: 1", "bone: 1, dense: 2") + "model: {out_channels: 1}"

    with pytest.raises(InputError, match=r"one logit tells two classes apart.*set it to 3"):
        load_config(write(tmp_path, text))


def test_v9_has_the_phases_of_the_diary() -> None:
    config = load_config(V9)

    assert [phase.epochs for phase in config.phases] == [(0, 30), (31, 60), (61, 300)]
    assert config.phases[2].weights == {
        "dice": 0.75,
        "focal": 0.15,
        "variance": 0.05,
        "boundary": 0.05,
    }
    assert config.terms == ("dice", "focal", "variance", "boundary")


DIARY = {  # batch, epochs, lr, weight decay, warm-up, loss weights, alpha, class weights, threshold
    "v1_original": (2, 300, 1e-4, 0.01, 5, (0.2, 0.4, 0.3, 0.05, 0.05), 0.75, (2.94, 1.52), 0.5),
    "v2_fixed_foreground_bias": (
        2, 300, 1e-4, 0.01, 5, (0.4, 0.25, 0.2, 0.1, 0.05), 0.4, (1.0, 3.0), 0.7,
    ),
    "v2_optimized_target_0.35": (
        2, 300, 1e-4, 0.01, 5, (0.4, 0.25, 0.2, 0.1, 0.05), 0.4, (1.0, 2.0), 0.6,
    ),
    "v3_aggressive_precision": (
        2, 300, 1e-4, 0.01, 5, (0.5, 0.15, 0.15, 0.15, 0.05), 0.3, (0.8, 3.6), 0.8,
    ),
    "v4_aggressive_focal": (
        2, 300, 2e-4, 0.01, 3, (0.45, 0.15, 0.25, 0.15, 0.05), 0.3, (1.0, 5.0), 0.6,
    ),
    "v5_variance_focused": (
        2, 300, 1e-4, 0.01, 5, (0.3, 0.15, 0.5, 0.05, 0.0), 0.4, (1.0, 2.0), 0.5,
    ),
    "v5_optimized_batch8": (
        8, 300, 2e-4, 0.01, 5, (0.5, 0.3, 0.1, 0.05, 0.0), 0.5, (2.94, 1.52), 0.5,
    ),
    "v5_conservative": (
        12, 500, 2.45e-4, 0.01, 5, (0.75, 0.15, 0.1, 0.0, 0.0), 0.5, (2.94, 1.52), 0.5,
    ),
    "v6_fix_plateau": (
        4, 100, 1e-3, 1e-4, 2, (0.8, 0.15, 0.0, 0.05, 0.0), 0.35, (1.0, 1.5), 0.5,
    ),
    "v7_batch8_smallvariance": (
        8, 100, 1e-3, 1e-4, 2, (0.75, 0.15, 0.1, 0.0, 0.0), 0.35, (1.0, 1.5), 0.5,
    ),
    "v8_dice_only": (8, 100, 5e-4, 1e-4, 2, (1.0, 0.0, 0.0, 0.0, 0.0), None, None, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", DIARY)
def test_the_history_has_the_values_of_the_diary(name: str) -> None:
    config = load_config(REPOSITORY / f"configs/history/{name}.yaml")
    batch, epochs, lr, decay, warmup, weights, alpha, class_weights, threshold = DIARY[name]
    order = ("dice", "focal", "variance", "boundary", "cldice")

    assert config.sampling.batch_size == batch
    assert config.sampling.patch_size == (128, 128, 128)
    assert (config.train.epochs, config.optimizer.lr) == (epochs, lr)
    assert (config.optimizer.weight_decay, config.scheduler.warmup_epochs) == (decay, warmup)
    assert tuple(config.phases[0].weights[term] for term in order) == weights
    assert alpha is None or config.loss.focal.alpha == alpha
    assert config.loss.class_weights == class_weights
    assert config.validation.threshold == threshold
    assert config.loss.variance.form == "original"


def test_schedules_averages_and_noise_of_the_history() -> None:
    def load(name: str):
        return load_config(REPOSITORY / f"configs/history/{name}.yaml")

    v4 = load("v4_aggressive_focal")
    assert (v4.scheduler.name, v4.scheduler.t_0, v4.averaging.swa.start_epoch) == ("cosine", 8, 20)
    assert (v4.noise.start_epoch, v4.noise.every, v4.noise.std, v4.noise.decay) == (
        15, 5, 0.002, 0.85,
    )  # fmt: skip
    assert (v4.averaging.swa.lr, v4.early_stopping.patience) == (1e-4, 60)
    v6 = load("v6_fix_plateau")
    assert (v6.averaging.swa, v6.noise, v6.early_stopping.patience) == (None, None, 20)
    assert (v6.scheduler.patience, v6.scheduler.threshold) == (5, 0.001)
    assert (v6.train.gradient_clip, load("v5_conservative").train.gradient_clip) == (2.0, 0.5)
    v5 = load("v5_variance_focused")
    assert (v5.noise.start_epoch, v5.noise.every, v5.noise.std) == (10, 2, 0.005)


def test_changing_a_name_replaces_the_inherited_section(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL + "scheduler: {name: plateau, patience: 3}", "base.yaml")
    child = write(tmp_path, "base: base.yaml\nscheduler: {name: cosine, t_0: 4}")

    assert load_config(child).scheduler.model_dump() == {
        "name": "cosine",
        "t_0": 4,
        "t_mult": 2,
        "eta_min": 1e-6,
        "warmup_epochs": 2,
    }


def test_classes_are_replaced_not_extended(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL, "base.yaml")
    child = write(tmp_path, "base: base.yaml\nlabels: {classes: {nothing: 0, vessel: 1}}")

    assert load_config(child).labels.names == ["nothing", "vessel"]


def test_changes_are_read_as_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)

    config = load_config(
        path, ["optimizer.lr=1e-5", "phases.0.ramp=3", "averaging.ema={decay: 0.9}"]
    )

    assert config.optimizer.lr == 1e-5
    assert config.phases[0].ramp == 3
    assert config.averaging.ema.decay == 0.9


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.epoch=3", r"train\.epoch: unknown key; nearest valid name: epochs"),
        ("train.batch_size=2", r"unknown key; nearest valid name: sampling\.batch_size"),
        ("loss.dise.smooth=1", r"loss\.dise: unknown key; nearest valid name: dice"),
        (
            "variance_weight=0.1",
            r"variance_weight: unknown key; nearest valid name: loss\.variance",
        ),
        ("bogus=1", r"bogus: unknown key; valid names: name, data"),
        ("scheduler.t_0=3", r"t_0: unknown key; it belongs to another scheduler\.name"),
        ("train.epochs=abc", r"train\.epochs: must be a whole number, found 'abc'"),
        ("train.epochs=true", r"train\.epochs: must be a whole number, found True"),
        ("train.epochs='3'", r"train\.epochs: must be a whole number, found '3'"),
        (
            "model.name=unet",
            r"model\.name: there is no network 'unet'; nearest valid name: dynunet",
        ),
        ("model.out_channels=3", r"model\.out_channels: must equal the 2 labels\.classes"),
        ("sampling.patch_size=[100, 128, 128]", r"sampling\.patch_size: .*multiple of 16"),
        (
            "sampling.patch_size=[1, 128, 128]",
            r"found \[1, 128, 128\]; for slices set model\.strides and model\.kernels to 1",
        ),
        ("sampling.patch_size=[16, 16, 16]", r"one edge must be at least 32"),
        ("sampling.patch_size=[128, 128]", r"sampling\.patch_size"),
        ("inference.patch_size=[100, 128, 128]", r"inference\.patch_size: .*multiple of 16"),
        ("inference.patch_size=[16, 16, 16]", r"inference\.patch_size: .*one edge must be"),
        ("loss.class_weights=[1.0, 2.0, 3.0]", r"loss\.class_weights: needs one weight"),
        ("labels.classes={a: 0, b: 0}", r"label value 0 is declared twice"),
        ("labels.classes={a: 0}", r"classes needs a background and a foreground"),
        ("labels.ignore=1", r"label value 1 is declared twice"),
        ("selection.band=[0.7, 0.3]", r"band is \[low, high\]"),
        ("selection.thresholds=[]", r"thresholds needs at least one value"),
        ("augment.scaling.range=[2.0, 1.0]", r"a range is \[low, high\]"),
        ("data.normalize={name: range, low: 2.0, high: 1.0}", r"low must be below high"),
        ("optimizer={name: sgd, momentum: 0.0}", r"nesterov needs a momentum above 0"),
        ("scheduler.name", r"write section\.key=value"),
        ("phases.9.ramp=1", r"9 must be a position from 0 to 0"),
        ("name.x=1", r"name is a value \('mine'\), not a section"),
        ("train={", r"not valid YAML"),
    ],
)
def test_a_bad_change_is_refused_by_name(tmp_path: Path, change: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_config(write(tmp_path, MINIMAL), [change])


@pytest.mark.parametrize(
    ("phases", "sentence"),
    [
        ("[{epochs: [0, 3], weights: {dise: 1.0}}]", r"weights\.dise: unknown loss; .*: dice"),
        ("[{epochs: [1, null], weights: {dice: 1.0}}]", r"phases\.0\.epochs: phase leaves a gap"),
        (
            "[{epochs: [0, 3], weights: {dice: 1.0}}, {epochs: [3, null], weights: {dice: 1.0}}]",
            r"phases\.1\.epochs: phase overlaps the one before",
        ),
        ("[{epochs: [0, 3], weights: {dice: 1.0}}]", r"phases: leave a gap: they end at epoch 3"),
        (
            "[{epochs: [0, null], weights: {dice: 1.0}}, {epochs: [4, 9], weights: {dice: 1.0}}]",
            r"only the last phase may end with null",
        ),
        ("[{epochs: [0, -1], weights: {dice: 1.0}}]", r"ends at -1, before it starts"),
        ("[{epochs: [0, null], weights: {dice: 0.0}}]", r"at least one loss with a weight above 0"),
        ("[]", r"phases: must not have fewer than 1 entries, found \[\]"),
    ],
)
def test_a_bad_phase_list_is_refused(tmp_path: Path, phases: str, sentence: str) -> None:
    text = MINIMAL.replace("[{epochs: [0, null], weights: {dice: 1.0}}]", phases)

    with pytest.raises(InputError, match=sentence):
        load_config(write(tmp_path, text))


def test_a_refused_phase_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        load_config(write(tmp_path, MINIMAL), ["phases.0.weights={dise: 1.0}"])

    assert len(caught.value.faults) == 1


def test_a_fault_names_the_file_it_stands_in(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL + "train: {epochs: many}", "base.yaml")
    child = write(tmp_path, "base: base.yaml\noptimizer: {lr: slow}")

    with pytest.raises(InputErrors) as caught:
        load_config(child)

    assert any("base.yaml: train.epochs" in fault for fault in caught.value.faults)
    assert any("mine.yaml: optimizer.lr" in fault for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "train: {epochs: 1}\ntrain: {epochs: 2}",
            r"line 2 not valid YAML: key 'train' stands twice",
        ),
        ("train: [", r"line \d+ not valid YAML"),
        ("1: 2", r"keys are text, found 1"),
        ("just words", r"a configuration is a mapping"),
        ("base: 3", r"base: must be a file name, found 3"),
        ("base: mine.yaml", r"files inherit from each other in a circle"),
        ("base: ours.yaml", r"ours\.yaml: no such configuration file"),
        ("a: !!python/object/apply:os.system [ls]", r"not valid YAML"),
        ("labels: {classes: {background: 0, sheet: 1}}\nphases: []", r"data: missing"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL)

    with pytest.raises(InputError, match=r"no such configuration file; did you mean .*mine\.yaml"):
        load_config(tmp_path / "mime.yaml")


def test_only_true_and_false_are_booleans() -> None:
    assert parse_yaml("[yes, on, true, 1e-5, 1E5, 012, 2020-01-01]", "t") == [
        "yes", "on", True, 1e-5, 1e5, "012", "2020-01-01",
    ]  # fmt: skip
