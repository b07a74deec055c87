from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from vesuv.errors import InputError
from vesuv.inference.ensemble import mean_of_members
from vesuv.inference.load import load

ZEROS = np.zeros((16, 16, 16), dtype=np.uint8)
IMAGE = np.random.default_rng(0).integers(0, 255, (17, 16, 18)).astype(np.uint8)


def test_weights_move_the_mean_towards_the_heavier_network(make_run) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[100.0]).path]

    # 1/2 and 1
    assert np.allclose(load(runs, weights=[3, 1]).predict(ZEROS), 0.625)
    assert np.allclose(load(runs, weights=[1, 3]).predict(ZEROS), 0.875)
    assert np.allclose(load(runs, weights=[0.1, 0.3]).predict(ZEROS), 0.875)


def test_averages_of_logits_are_activated_after_the_mean_of_the_networks(make_run) -> None:
    runs = [make_run("a", logits=[0.0]).path, make_run("b", logits=[2.0]).path]
    changes = ["inference.average=logits"]

    even = load(runs, changes=changes).predict(ZEROS)
    weighted = load(runs, weights=[3, 1], changes=changes).predict(ZEROS)

    assert np.allclose(even, 1 / (1 + np.exp(-1.0)), atol=1e-6)
    assert np.allclose(weighted, 1 / (1 + np.exp(-0.5)), atol=1e-6)
    # the mean of probabilities is another one
    assert np.allclose(load(runs).predict(ZEROS), (0.5 + 1 / (1 + np.exp(-2.0))) / 2, atol=1e-6)


def test_equal_weights_give_the_bits_of_the_plain_mean(make_run) -> None:
    runs = [make_run(name, seed=seed).path for seed, name in enumerate("abc")]

    plain = load(runs).predict(IMAGE)

    assert np.array_equal(load(runs, weights=[2, 2, 2]).predict(IMAGE), plain)
    assert not np.array_equal(load(runs, weights=[2, 2, 1]).predict(IMAGE), plain)


def test_several_checkpoints_of_each_run_are_averaged_by_run_and_then_by_checkpoint(
    make_run,
) -> None:
    runs = []
    for name, best, ema in (("a", 0.0, 100.0), ("b", 100.0, -100.0)):
        run, other = make_run(name, logits=[best]), make_run(f"{name}_other", logits=[ema])
        shutil.copy(other.checkpoint("best"), run.checkpoint("ema"))
        runs.append(run.path)

    # 1/2, 1, 1 and 0
    assert np.allclose(load(runs, checkpoint=["best", "ema"]).predict(ZEROS), 2.5 / 4)
    weighted = load(runs, checkpoint=["best", "ema"], weights=[2, 1, 1, 4])
    assert np.allclose(weighted.predict(ZEROS), 3 / 8)
    names = [network.source.rsplit("/", 3)[1:] for network in weighted.networks]
    assert [(run, file) for run, _, file in names] == [
        ("a", "best.pt"),
        ("a", "ema.pt"),
        ("b", "best.pt"),
        ("b", "ema.pt"),
    ]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1.0], r"--weights: needs one number for each of the 2 checkpoints .* found 1"),
        ([1.0, 0.0], r"--weights: must be finite and above 0, found 0\.0"),
        ([1.0, float("nan")], r"--weights: must be finite and above 0, found nan"),
        ([float("inf"), 1.0], r"--weights: must be finite and above 0, found inf"),
    ],
)
def test_weights_that_are_none_are_refused(make_run, weights, sentence: str) -> None:
    runs = [make_run("a").path, make_run("b").path]

    with pytest.raises(InputError, match=sentence):
        load(runs, weights=weights)


def test_a_checkpoint_or_run_that_is_named_twice_is_refused(make_run) -> None:
    run = make_run("a").path

    with pytest.raises(InputError, match="--checkpoint: best is given twice"):
        load(run, checkpoint=["best", "best"])
    with pytest.raises(InputError, match=r"--run: \S+a/\.\./a is given twice; use --weights"):
        load([run / "../a", run])


def test_the_mean_leaves_its_members_as_they_are() -> None:
    members = [torch.full((1, 2, 2, 2), float(value)) for value in (1, 2, 6)]

    assert torch.equal(mean_of_members(members), torch.full((1, 2, 2, 2), 3.0))
    assert torch.allclose(mean_of_members(members, [1, 1, 2]), torch.tensor(15 / 4))
    assert [float(one.mean()) for one in members] == [1.0, 2.0, 6.0]
    assert mean_of_members(members[:1]) is members[0]
