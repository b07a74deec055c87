"""Exchange between processes: a step of two processes equals the step of one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from tests.training.processes import in_processes, in_two_processes
from vesuv.config.loss import ALL_LOSSES, read_losses
from vesuv.config.training import RuntimeConfig
from vesuv.errors import InputError
from vesuv.losses import MASK_LOSSES, Compound, Loss, build_losses
from vesuv.losses.prediction import Prediction
from vesuv.models import build_model, recompute_levels
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.runtime import distributed
from vesuv.runtime.distributed import SINGLE_PROCESS, Group, OtherProcessError, join_processes
from vesuv.runtime.machine import resolve
from vesuv.training.epoch_metrics import EpochMetrics
from vesuv.training.nan_guard import NanGuard
from vesuv.training.optimizers import SGDConfig, build_optimizer
from vesuv.training.step import TrainingStep, label_objective
from vesuv.transforms.collate import Batch


@dataclass(frozen=True)
class Peak(Loss):
    """A loss that needs the whole batch: squared largest mean of a patch."""

    uses_global_sums: ClassVar[bool] = False

    def of(self, prediction: Prediction) -> Tensor:
        valid = prediction.num_valid.sum().clamp_min(1)
        return prediction.probs_sum.mean(dim=1).amax().square() / valid + prediction.probs.std()


@dataclass(frozen=True)
class Step:
    """One training step that is for one process and for two."""

    terms: tuple[str, ...]
    loss: dict[str, Any]
    outputs: int = 1
    accumulate: int = 1
    ignored: tuple[int, ...] = ()
    recompute: int = 0
    deep_supervision: bool = False
    memory_format: torch.memory_format = torch.contiguous_format


FORMS = {
    "dice of each patch": ("dice", {"dice": {"batch": False}}),
    "cross-entropy": ("cross_entropy", {"class_weights": (0.5, 2.0)}),
    "ccc": ("variance", {"variance": {"form": "ccc"}}),
    "original": ("variance", {"variance": {"form": "original"}}),
    "band": ("boundary", {"boundary": {"form": "band"}}),
}
ALL = tuple(MASK_LOSSES)
STEPS = {
    **{name: Step((name,), {}) for name in MASK_LOSSES},
    **{name: Step((term,), loss) for name, (term, loss) in FORMS.items()},
    "a loss that does not pool": Step(("peak", "dice"), {}),
    "compound": Step(ALL, {}),
    "compound in parts": Step((*ALL, "peak"), {}, accumulate=2),
    "one ignored patch": Step((*ALL, "peak"), {}, ignored=(3,)),
    "one ignored share": Step((*ALL, "peak"), {}, ignored=(2, 3)),
    "only ignored voxels": Step(("dice", "focal", "variance"), {}, ignored=(0, 1, 2, 3)),
    "three classes": Step(ALL, {}, outputs=3),
    "recomputed": Step(("dice", "focal"), {}, recompute=1),
    "recomputed in parts": Step(("dice", "focal"), {}, accumulate=2, recompute=1),
    "deep supervision": Step(ALL, {}, deep_supervision=True),
    "channels last": Step(("dice",), {}, memory_format=torch.channels_last_3d),
}


def batch_of(step: Step, places: tuple[int, ...]) -> Batch:
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(4, 1, 8, 8, 8, generator=generator)
    label = (image[:, 0] + torch.randn(4, 8, 8, 8, generator=generator) > 0.8).to(torch.uint8)
    if step.outputs == 3:
        label[image[:, 0] < -1] = 2
    label[0, :3] = 255
    label[list(step.ignored)] = 255
    names = tuple("abcd"[place] for place in places)
    return Batch(image[list(places)], label[list(places)], names)


def step_of(
    network: nn.Module, group: Group, losses: dict[str, Loss], **options: Any
) -> TrainingStep:
    return TrainingStep(
        group.share_gradients(network),
        list(network.parameters()),
        build_optimizer(network, SGDConfig(name="sgd", lr=1e-3, momentum=0.0, nesterov=False)),
        label_objective(Compound(losses), group),
        replace(resolve(RuntimeConfig(device="cpu", precision="float32")), group=group),
        **{"gradient_clip": None, "accumulate": 1, **options},
    )


def step_results(step: Step, group: Group) -> dict[str, Any]:
    """Take the step twice; return loss, terms, norm and gradient of the second."""
    torch.manual_seed(0)
    config = PlainUNetConfig(filters=2, depth=1, out_channels=step.outputs)
    if step.deep_supervision:
        strides = ((2, 1, 1), (1, 2, 1), (1, 1, 2))
        config = PlainUNetConfig(filters=2, depth=3, strides=strides, deep_supervision=True)
    network = build_model(config).to(memory_format=step.memory_format)  # type: ignore[call-overload]
    recompute_levels(network, step.recompute)
    built = [term for term in step.terms if term in MASK_LOSSES]
    losses = build_losses(read_losses(step.loss), built) | {"peak": Peak()}
    train_step = step_of(
        network,
        group,
        losses,
        gradient_clip=1e-2,
        accumulate=step.accumulate,
        memory_format=step.memory_format,
    )
    batch = batch_of(step, group.batch_places(4))
    for _ in range(2):
        result = train_step(batch, dict.fromkeys(step.terms, 0.5))
    return {
        "loss": float(result.loss),
        "terms": {name: float(value) for name, value in result.components.items()},
        "norm": float(result.gradient_norm),
        "gradient": torch.cat([p.grad.flatten() for p in network.parameters()]),  # type: ignore[union-attr]
    }


def skipped_step(group: Group) -> tuple[float, list[str]]:
    step = STEPS["compound"]
    batch = batch_of(step, group.batch_places(4))
    if "d" in batch.cases:
        batch.image[-1, 0, 0, 0, 0] = float("nan")
    train_step = step_of(nn.Conv3d(1, 1, 3, padding=1), group, build_losses(ALL_LOSSES(), ["dice"]))
    result = train_step(batch, {"dice": 1.0})
    guard = NanGuard(group)
    guard.record(7, batch.cases, result)
    return float(result.skipped), [skipped.line for skipped in guard.pop_skipped_steps()]


def patch_contents(group: Group) -> dict[str, float]:
    metrics = EpochMetrics(torch.device("cpu"), group)
    metrics.add_patches(batch_of(Step(("dice",), {}, ignored=(3,)), group.batch_places(4)).label)
    return metrics.row()


def copied_sum(group: Group) -> float:
    torch.manual_seed(group.rank)
    network = nn.Conv3d(2, 3, 3).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    group.broadcast_weights(network)
    return network(torch.arange(54.0).view(1, 2, 3, 3, 3)).sum().item()


def exchange_results(group: Group) -> dict[str, Any]:
    results: dict[str, Any] = {name: step_results(step, group) for name, step in STEPS.items()}
    results["skipped"] = skipped_step(group)
    results["contents"] = patch_contents(group)
    results["weights_sum"] = copied_sum(group)
    results["flags"] = group.any_process(False, group.rank == 1)
    results["ranks"] = group.gather_objects(group.rank)
    return results


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Results of every step in each of two processes."""
    return in_two_processes(tmp_path_factory.mktemp("two"), exchange_results)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_two_processes_have_the_loss_and_the_gradient_of_one(
    name: str, two: list[dict[str, Any]]
) -> None:
    expected = step_results(STEPS[name], SINGLE_PROCESS)
    scale = max(expected["gradient"].norm().item(), 1e-12)

    for result in (process[name] for process in two):
        assert result["loss"] == pytest.approx(expected["loss"], rel=1e-6, abs=1e-7)
        assert result["terms"] == pytest.approx(expected["terms"], rel=2e-6, abs=1e-7)
        assert result["norm"] == pytest.approx(expected["norm"], rel=1e-6, abs=1e-9)
        assert (result["gradient"] - expected["gradient"]).norm() <= 1e-6 * scale
    assert torch.equal(two[0][name]["gradient"], two[1][name]["gradient"])
    assert two[0][name]["loss"] == two[1][name]["loss"]


@pytest.mark.slow
def test_all_processes_skip_a_step_and_name_the_case_of_the_faulty_patch(
    two: list[dict[str, Any]],
) -> None:
    line = "step 7 skipped, weights unchanged: the input is not finite for case d"

    assert [process["skipped"] for process in two] == [(1.0, [line]), (1.0, [line])]


@pytest.mark.slow
def test_patch_contents_are_counted_over_all_processes(two: list[dict[str, Any]]) -> None:
    assert two[0]["contents"] == two[1]["contents"] == patch_contents(SINGLE_PROCESS)
    assert two[0]["contents"]["train/ignored_share"] == (3 * 64 + 512) / (4 * 512)


@pytest.mark.slow
def test_a_flag_of_one_process_is_set_for_all(two: list[dict[str, Any]]) -> None:
    assert [process["flags"] for process in two] == [(False, True), (False, True)]
    assert [process["ranks"] for process in two] == [[0, 1], [0, 1]]


@pytest.mark.slow
def test_weights_are_copied_from_the_main_process(two: list[dict[str, Any]]) -> None:
    assert [process["weights_sum"] for process in two] == [copied_sum(SINGLE_PROCESS)] * 2


def resumed_equals_uninterrupted(group: Group) -> bool:
    """Take four steps; repeat the last three with a new network wrapper; compare the weights."""
    torch.manual_seed(0)
    network = build_model(PlainUNetConfig(filters=4, depth=2))
    image = torch.randn(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    own_places = list(group.batch_places(3))
    batch = Batch(
        image[own_places], (image[own_places, 0] > 0.5).to(torch.uint8), ("a",) * len(own_places)
    )
    first_weights: dict[str, Tensor] = {}
    final_weights: list[dict[str, Tensor]] = []
    for first in (0, 1):
        network.load_state_dict(first_weights or network.state_dict())
        train_step = step_of(network, group, build_losses(ALL_LOSSES(), ["dice"]))
        for number in range(first, 4):
            train_step(batch, {"dice": 1.0})
            if number == 0:
                first_weights = copy.deepcopy(network.state_dict())
        final_weights.append(copy.deepcopy(network.state_dict()))
    return all(
        torch.equal(final_weights[0][name], final_weights[1][name]) for name in final_weights[0]
    )


@pytest.mark.slow
def test_three_processes_continue_bit_for_bit(tmp_path: Path) -> None:
    """The sum of three numbers depends on their order, that of two does not."""
    assert in_processes(3, tmp_path, resumed_equals_uninterrupted) == [True, True, True]


def test_one_process_exchanges_nothing() -> None:
    values, network = torch.ones(2), nn.Linear(1, 1)

    assert SINGLE_PROCESS.is_main
    assert SINGLE_PROCESS.sum(values) is values
    assert SINGLE_PROCESS.gather(values) is values
    assert SINGLE_PROCESS.any_process(True, False) == (True, False)
    assert SINGLE_PROCESS.gather_objects("a") == ["a"]
    assert SINGLE_PROCESS.share_gradients(network) is network
    assert SINGLE_PROCESS.batch_places(3) == (0, 1, 2)
    with join_processes({}) as group:
        assert group is SINGLE_PROCESS


def test_processes_share_a_batch_evenly() -> None:
    groups = [Group(rank, 2) for rank in range(2)]

    assert [group.batch_places(8) for group in groups] == [(0, 1, 2, 3), (4, 5, 6, 7)]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(InputError, match="must be a multiple of 3 processes, found 8"):
        Group(0, 3).batch_places(8)


def test_an_environment_without_torchrun_variables_is_refused() -> None:
    environment = {"WORLD_SIZE": "4", "RANK": "0", "MASTER_ADDR": "localhost"}

    with (
        pytest.raises(
            InputError, match=r"WORLD_SIZE=4: .* needs LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_PORT"
        ),
        join_processes(environment),
    ):
        pass


def test_one_process_of_another_machine_prints_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_GRACE_SECONDS", 0.0)
    for rank, exit_code in ((1, 1), (2, "error: process 0 failed: lost"), (3, 1)):
        group = Group(rank, 4, local_rank=rank % 2, local_size=2)
        monkeypatch.setattr(distributed, "_join", lambda _environment, group=group: group)
        with pytest.raises(SystemExit) as exit_info, join_processes():
            raise OtherProcessError(0, "lost")
        assert exit_info.value.code == exit_code
