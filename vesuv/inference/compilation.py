"""torch.compile of networks for predictions: only where it is measured to be faster.

With one thread of a CPU it computes windows of 64³ 1.8 times as fast in float32 and 1.3 times in
bfloat16 (bench/RESULTS.md), after 10 to 20 seconds of compiling for each network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from vesuv.config.training import Compile
from vesuv.errors import InputError
from vesuv.inference.volume import Network
from vesuv.models.heads import activate
from vesuv.runtime.machine import Machine
from vesuv.runtime.torch_internals import packed_weights

TOLERANCE = 1e-3
"""Largest difference of probability that compiling may add to that of the precision."""
WORTHWHILE_SECONDS = 600.0
"""Computing without torch.compile that is long enough to try it."""
_TURNS = 3


@dataclass(frozen=True)
class CompileChoice:
    """Whether networks are compiled, and why, for the record of a prediction."""

    compiled: bool = False
    reason: str = "inference.compile is off"

    @classmethod
    def from_json(cls, content: dict[str, Any] | None) -> CompileChoice:
        """Return the choice that a record holds; an older record holds none."""
        return cls() if content is None else cls(**content)


def compiled(network: Network) -> Network:
    """Return a network that torch.compile translates at its first call for each shape.

    Raises:
        InputError: By the first call: it cannot be translated here.
    """
    function = torch.compile(network, dynamic=False)

    def forward(batch: Tensor) -> Tensor:
        try:
            with packed_weights():
                logits: Tensor = function(batch)
        except torch.OutOfMemoryError:
            raise
        except Exception as fault:  # compilers raise errors of any kind
            reason = " ".join(str(fault).split()) or type(fault).__name__
            raise InputError(
                f"inference.compile: torch.compile failed here ({reason:.160}); install a C++ "
                "compiler, or set it to off and predict into a new output"
            ) from None
        return logits

    return forward


def choose(
    setting: Compile,
    network: Network,
    machine: Machine,
    batch: Tensor,
    num_batches: float,
    clock: Callable[[], float] = time.perf_counter,
) -> CompileChoice:
    """Compile a network where that is asked for, or where it is faster.

    Args:
        setting: `inference.compile`.
        network: One of the networks.
        machine: Device and precision.
        batch: Normalised windows (b, c, z, y, x) on the device.
        num_batches: Batches of the whole prediction; a short one is not compiled by auto.
        clock: Seconds.
    """
    if setting == "off":
        return CompileChoice()
    if setting == "auto" and num_batches * _seconds(network, machine, batch, clock) < (
        WORTHWHILE_SECONDS
    ):
        return CompileChoice(reason="the prediction is short")
    reference = _probs(network, replace(machine, precision="float32"), batch)
    plain = _probs(network, machine, batch)
    fast = compiled(network)
    try:
        probs = _probs(fast, machine, batch)
    except InputError as fault:
        return CompileChoice(reason=str(fault))
    added = float((probs - reference).abs().max() - (plain - reference).abs().max())
    if not added <= TOLERANCE:
        return CompileChoice(reason=f"torch.compile adds {added:.2g} to the error of probabilities")
    turns = [
        [_seconds(one, machine, batch, clock) for one in (network, fast)] for _ in range(_TURNS)
    ]
    seconds_plain, seconds_fast = map(median, zip(*turns, strict=True))
    reason = f"{seconds_fast:.3g} s a batch with torch.compile, {seconds_plain:.3g} s without"
    return CompileChoice(setting == "on" or seconds_fast < seconds_plain, reason)


@torch.inference_mode()
def _probs(network: Network, machine: Machine, batch: Tensor) -> Tensor:
    """Sigmoids of all logits, whatever the channels mean."""
    return activate(machine.forward(network, batch).float(), overlap=True)


def _seconds(
    network: Network, machine: Machine, batch: Tensor, clock: Callable[[], float]
) -> float:
    start = clock()
    float(_probs(network, machine, batch).sum())  # waits for an accelerator
    return clock() - start
