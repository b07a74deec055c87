"""Precision of a prediction: that of its selection, where the device has it."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.config import Config
from vesuv.runtime.machine import Precision, resolve


def with_judged_precision(
    config: Config, judged: Precision | None, changes: Sequence[str]
) -> tuple[Config, str | None]:
    """Set `runtime.precision` to the precision that a selection was judged in.

    A device that computes in it slower than in float32 predicts in float32.

    Args:
        config: A run's, with the changes of the user.
        judged: Precision of the selection; None where it is not recorded.
        changes: Changes of the user; a `runtime.precision` among them overrides `judged`.

    Returns:
        The configuration, and a message where the precision is not that of the selection.

    Raises:
        InputError: The device is not available.
    """
    if judged is None:
        return config, None
    if any(change.partition("=")[0] == "runtime.precision" for change in changes):
        precision = resolve(config.runtime).precision
        if precision == judged:
            return config, None
        return config, (
            f"precision {precision}, from runtime.precision; the selection was judged in {judged}"
        )
    machine = resolve(_with_precision(config, "auto").runtime)
    if judged in ("float32", machine.precision):
        return _with_precision(config, judged), None
    return _with_precision(config, "float32"), (
        f"precision float32; the selection was judged in {judged}, which the device "
        f"{machine.device} lacks"
    )


def _with_precision(config: Config, precision: str) -> Config:
    runtime = config.runtime.model_copy(update={"precision": precision})
    return config.model_copy(update={"runtime": runtime})
