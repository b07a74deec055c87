"""torch.compile is kept only where it works, is exact, and is faster by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.inference.blocks.conftest import (
    block_prediction,
    network,
    predictor,
    shard_bytes,
    smooth_image,
)
from vesuv.config.training import InferenceConfig, RuntimeConfig
from vesuv.errors import InputError
from vesuv.inference import compilation
from vesuv.inference.compilation import CompileChoice, choose
from vesuv.runtime.machine import resolve

MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32", threads=1))
BATCH = torch.linspace(-2, 2, 64).reshape(1, 1, 4, 4, 4)
LONG = 1e9


class Clock:
    """Seconds that advance only while a network runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def network(self, seconds: float, shift: float = 0.0) -> Callable[[Tensor], Tensor]:
        def run(batch: Tensor) -> Tensor:
            self.now += seconds
            return batch + shift

        return run


@pytest.fixture
def compiles_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Tensor], Tensor]], None]:
    """Let torch.compile return the given function for every network."""

    def use(function: Callable[[Tensor], Tensor]) -> None:
        monkeypatch.setattr(torch, "compile", lambda *_, **__: function)

    return use


@pytest.mark.parametrize(
    ("setting", "plain", "fast", "compiled"),
    [("auto", 2.0, 1.0, True), ("auto", 1.0, 2.0, False), ("on", 1.0, 2.0, True)],
)
def test_auto_keeps_the_faster_network(compiles_to, setting, plain, fast, compiled) -> None:
    clock = Clock()
    compiles_to(clock.network(fast))

    choice = choose(setting, clock.network(plain), MACHINE, BATCH, LONG, clock)

    reason = f"{fast:.3g} s a batch with torch.compile, {plain:.3g} s without"
    assert choice == CompileChoice(compiled, reason)
    assert CompileChoice.from_json({"compiled": compiled, "reason": reason}) == choice


def test_off_and_short_predictions_never_compile(compiles_to) -> None:
    clock = Clock()
    compiles_to(lambda _: pytest.fail("compiled"))
    network_of_1_s = clock.network(1.0)

    assert not choose("off", network_of_1_s, MACHINE, BATCH, LONG, clock).compiled
    short = choose("auto", network_of_1_s, MACHINE, BATCH, 599.0, clock)
    assert short == CompileChoice(False, "the prediction is short")


@pytest.mark.parametrize(("shift", "compiled"), [(0.003, True), (0.05, False)])
def test_a_compiled_network_may_add_an_error_of_one_thousandth(
    compiles_to, shift, compiled
) -> None:
    clock = Clock()
    compiles_to(clock.network(1.0, shift))  # the slope of a sigmoid is at most 1/4

    choice = choose("on", clock.network(2.0), MACHINE, BATCH, LONG, clock)

    assert choice.compiled is compiled
    assert compiled or "to the error of probabilities" in choice.reason


def test_a_network_that_does_not_compile_is_used_as_it_is(compiles_to) -> None:
    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("no C++ compiler")

    compiles_to(fail)

    choice = choose("auto", torch.nn.Identity(), MACHINE, BATCH, 1e12)

    assert not choice.compiled
    assert "torch.compile failed here (no C++ compiler)" in choice.reason


def test_blocks_record_the_choice_and_go_on_with_it(
    compiles_to, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    networks, image = predictor(network()), smooth_image((20, 16, 16))
    np.save(tmp_path / "a.npy", image)
    plain = networks.networks[0].network
    compiles_to(lambda batch: plain(batch) + 0.002)
    monkeypatch.setattr(compilation, "WORTHWHILE_SECONDS", 0.0)
    monkeypatch.setattr(compilation, "_seconds", lambda one, *_: 2.0 if one is plain else 1.0)
    lines: list[str] = []

    for name in ("p", "q"):
        prediction = block_prediction(
            networks, tmp_path / "a.npy", tmp_path / f"{name}.zarr", lines.append,
            keep_probabilities=True,
        )  # fmt: skip
        if name == "q":  # begun with the compiled network, and gone on with a clock that differs
            prediction.say("begun")
            prediction._start(prediction_journal(prediction), prediction.check())
            monkeypatch.setattr(compilation, "_seconds", lambda *_: 1.0)
        prediction.run()

    assert "networks are compiled: 1 s a batch with torch.compile, 2 s without" in lines
    record = json.loads((tmp_path / "p.zarr/provenance.json").read_text())
    assert record["compile"]["compiled"] is True
    assert record["inference"]["compile"] == "on"  # what --from repeats
    assert shard_bytes(tmp_path / "p.zarr") == shard_bytes(tmp_path / "q.zarr")
    plain = predictor(*networks.networks, inference=InferenceConfig(compile="off"))
    block_prediction(
        plain, tmp_path / "a.npy", tmp_path / "off.zarr", keep_probabilities=True
    ).run()
    assert shard_bytes(tmp_path / "off.zarr") != shard_bytes(tmp_path / "p.zarr")


def test_blocks_that_cannot_be_compiled_again_are_refused(
    compiles_to, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    networks = predictor(network(compile="on"))
    np.save(tmp_path / "a.npy", smooth_image((20, 16, 16)))
    plain = networks.networks[0].network
    compiles_to(plain)
    prediction = block_prediction(networks, tmp_path / "a.npy", tmp_path / "p.zarr")
    prediction._start(prediction_journal(prediction), prediction.check())

    def fail(_: Tensor) -> Tensor:
        raise RuntimeError("no C++ compiler")

    compiles_to(fail)
    with pytest.raises(InputError, match=r"inference\.compile: torch\.compile failed here"):
        prediction.run()


def test_a_whole_volume_is_compiled_where_that_is_set(compiles_to) -> None:
    image = smooth_image((10, 9, 8))
    expected = predictor(network()).predict(image)
    networks = predictor(network(compile="on"))
    compiles_to(lambda batch: networks.networks[0].network(batch) + 1.0)

    assert np.abs(networks.predict(image) - expected).max() > 0.1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of PyTorch itself
def test_torch_compile_itself_is_exact() -> None:
    image = smooth_image((10, 9, 8))

    probs = predictor(network(compile="on")).predict(image)

    assert np.abs(probs - predictor(network()).predict(image)).max() < 1e-4


@pytest.mark.parametrize(("value", "word"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_yaml_may_read_on_and_off_as_booleans(value, word: str) -> None:
    assert InferenceConfig(compile=value).compile == word


def prediction_journal(prediction):
    """Return the journal of a prediction that `run` would begin."""
    from vesuv.inference.blocks.journal import Journal

    return Journal.of(prediction.output)
