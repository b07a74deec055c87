"""What two processes exchange in a step, against one; and who may start."""

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
from vesuv.losses import LOSSES, Compound, Loss, build_losses
from vesuv.losses.prediction import Prediction
from vesuv.models import build_model, recompute_levels
from vesuv.models.plain_unet import PlainUNetConfig
from vesuv.runtime import distributed
from vesuv.runtime.distributed import ALONE, AnotherFailed, Group, joined
from vesuv.runtime.machine import resolve
from vesuv.training.epoch_sums import EpochSums
from vesuv.training.non_finite import NonFiniteWatch
from vesuv.training.optimizers import SGDConfig, build_optimizer
from vesuv.training.step import TrainingStep
from vesuv.transforms.collate import Batch


@dataclass(frozen=True)
class Peak(Loss):
    """A loss that knows nothing of other processes: squared largest mean of a patch."""

    uses_global_sums: ClassVar[bool] = False

    def of(self, prediction: Prediction) -> Tensor:
        valid = prediction.num_valid.sum().clamp_min(1)
        return prediction.probs_sum.mean(dim=1).amax().square() / valid + prediction.probs.std()


@dataclass(frozen=True)
class Step:
    """One training step that is taken alone and by two."""

    terms: tuple[str, ...]
    loss: dict[str, Any]
    outputs: int = 1
    accumulate: int = 1
    ignored: tuple[int, ...] = ()
    recompute: int = 0
    memory_format: torch.memory_format = torch.contiguous_format


FORMS = {
    "dice of each patch": ("dice", {"dice": {"batch": False}}),
    "cross-entropy": ("cross_entropy", {"class_weights": (0.5, 2.0)}),
    "ccc": ("variance", {"variance": {"form": "ccc"}}),
    "original": ("variance", {"variance": {"form": "original"}}),
    "band": ("boundary", {"boundary": {"form": "band"}}),
}
ALL = tuple(LOSSES)
STEPS = {
    **{name: Step((name,), {}) for name in LOSSES},
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
        Compound(losses),
        replace(resolve(RuntimeConfig(device="cpu", precision="float32")), group=group),
        **{"gradient_clip": None, "accumulate": 1, **options},
    )


def taken(step: Step, group: Group) -> dict[str, Any]:
    """Take the step twice; return loss, terms, norm and gradient of the second."""
    torch.manual_seed(0)
    config = PlainUNetConfig(filters=2, depth=1, out_channels=step.outputs)
    network = build_model(config).to(memory_format=step.memory_format)  # type: ignore[call-overload]
    recompute_levels(network, step.recompute)
    built = [term for term in step.terms if term in LOSSES]
    losses = build_losses(read_losses(step.loss), built) | {"peak": Peak()}
    train_step = step_of(
        network,
        group,
        losses,
        gradient_clip=1e-2,
        accumulate=step.accumulate,
        memory_format=step.memory_format,
    )
    batch = batch_of(step, group.places(4))
    for _ in range(2):
        result = train_step(batch, dict.fromkeys(step.terms, 0.5))
    return {
        "loss": float(result.loss),
        "terms": {name: float(value) for name, value in result.components.items()},
        "norm": float(result.gradient_norm),
        "gradient": torch.cat([p.grad.flatten() for p in network.parameters()]),  # type: ignore[union-attr]
    }


def skipped(group: Group) -> tuple[float, list[str]]:
    step = STEPS["compound"]
    batch = batch_of(step, group.places(4))
    if "d" in batch.cases:
        batch.image[-1, 0, 0, 0, 0] = float("nan")
    train_step = step_of(nn.Conv3d(1, 1, 3, padding=1), group, build_losses(ALL_LOSSES(), ["dice"]))
    result = train_step(batch, {"dice": 1.0})
    watch = NonFiniteWatch(group)
    watch.see(7, batch.cases, result)
    return float(result.skipped), [found.line for found in watch.look()]


def contents(group: Group) -> dict[str, float]:
    sums = EpochSums(torch.device("cpu"), group)
    sums.see(batch_of(Step(("dice",), {}, ignored=(3,)), group.places(4)).label)
    return sums.row()


def copied(group: Group) -> float:
    torch.manual_seed(group.rank)
    network = nn.Conv3d(2, 3, 3).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    group.copy_from_first(network)
    return network(torch.arange(54.0).view(1, 2, 3, 3, 3)).sum().item()


def steps_of(group: Group) -> dict[str, Any]:
    answer: dict[str, Any] = {name: taken(step, group) for name, step in STEPS.items()}
    answer["skipped"] = skipped(group)
    answer["contents"] = contents(group)
    answer["copied"] = copied(group)
    answer["agreed"] = group.agree(False, group.rank == 1)
    answer["collected"] = group.collect(group.rank)
    return answer


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found of every step."""
    return in_two_processes(tmp_path_factory.mktemp("two"), steps_of)


@pytest.mark.parametrize("name", STEPS)
def test_two_processes_have_the_loss_and_the_gradient_of_one(
    name: str, two: list[dict[str, Any]]
) -> None:
    alone = taken(STEPS[name], ALONE)
    scale = max(alone["gradient"].norm().item(), 1e-12)

    for found in (process[name] for process in two):
        assert found["loss"] == pytest.approx(alone["loss"], rel=1e-6, abs=1e-7)
        assert found["terms"] == pytest.approx(alone["terms"], rel=2e-6, abs=1e-7)
        assert found["norm"] == pytest.approx(alone["norm"], rel=1e-6, abs=1e-9)
        assert (found["gradient"] - alone["gradient"]).norm() <= 1e-6 * scale
    assert torch.equal(two[0][name]["gradient"], two[1][name]["gradient"])
    assert two[0][name]["loss"] == two[1][name]["loss"]


def test_all_processes_skip_a_step_and_name_the_case_of_whichever_met_it(
    two: list[dict[str, Any]],
) -> None:
    line = "step 7 skipped, weights unchanged: the input is not finite for case d"

    assert [process["skipped"] for process in two] == [(1.0, [line]), (1.0, [line])]


def test_what_patches_hold_is_counted_over_all_processes(two: list[dict[str, Any]]) -> None:
    assert two[0]["contents"] == two[1]["contents"] == contents(ALONE)
    assert two[0]["contents"]["train/ignored_share"] == (3 * 64 + 512) / (4 * 512)


def test_a_flag_that_one_raises_is_up_for_all(two: list[dict[str, Any]]) -> None:
    assert [process["agreed"] for process in two] == [(False, True), (False, True)]
    assert [process["collected"] for process in two] == [[0, 1], [0, 1]]


def test_weights_are_copied_from_the_first(two: list[dict[str, Any]]) -> None:
    assert [process["copied"] for process in two] == [copied(ALONE)] * 2


def gone_on(group: Group) -> bool:
    """Take four steps, and the last three again in a new process's place; compare the weights."""
    torch.manual_seed(0)
    network = build_model(PlainUNetConfig(filters=4, depth=2))
    image = torch.randn(3, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    mine = list(group.places(3))
    batch = Batch(image[mine], (image[mine, 0] > 0.5).to(torch.uint8), ("a",) * len(mine))
    middle: dict[str, Tensor] = {}
    ends: list[dict[str, Tensor]] = []
    for first in (0, 1):
        network.load_state_dict(middle or network.state_dict())
        train_step = step_of(network, group, build_losses(ALL_LOSSES(), ["dice"]))
        for number in range(first, 4):
            train_step(batch, {"dice": 1.0})
            if number == 0:
                middle = copy.deepcopy(network.state_dict())
        ends.append(copy.deepcopy(network.state_dict()))
    return all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_three_processes_go_on_bit_for_bit(tmp_path: Path) -> None:
    """The order in which three numbers are added up matters, that of two does not."""
    assert in_processes(3, tmp_path, gone_on) == [True, True, True]


def test_alone_nothing_is_exchanged() -> None:
    values, network = torch.ones(2), nn.Linear(1, 1)

    assert ALONE.leads
    assert ALONE.sum(values) is values
    assert ALONE.gather(values) is values
    assert ALONE.agree(True, False) == (True, False)
    assert ALONE.collect("a") == ["a"]
    assert ALONE.share_gradients(network) is network
    assert ALONE.places(3) == (0, 1, 2)
    with joined({}) as group:
        assert group is ALONE


def test_processes_share_a_batch_evenly() -> None:
    groups = [Group(rank, 2) for rank in range(2)]

    assert [group.places(8) for group in groups] == [(0, 1, 2, 3), (4, 5, 6, 7)]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(InputError, match="must be a multiple of 3 processes, found 8"):
        Group(0, 3).places(8)


def test_an_environment_that_torchrun_did_not_make_is_refused() -> None:
    environment = {"WORLD_SIZE": "4", "RANK": "0", "MASTER_ADDR": "localhost"}

    with (
        pytest.raises(
            InputError, match=r"WORLD_SIZE=4: .* needs LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_PORT"
        ),
        joined(environment),
    ):
        pass


def test_on_another_machine_one_process_says_what_it_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "_GRACE_SECONDS", 0.0)
    for rank, said in ((1, 1), (2, "error: process 0 failed: lost"), (3, 1)):
        group = Group(rank, 4, local_rank=rank % 2, local_size=2)
        monkeypatch.setattr(distributed, "_join", lambda _environment, group=group: group)
        with pytest.raises(SystemExit) as end, joined():
            raise AnotherFailed(0, "lost")
        assert end.value.code == said
