"""Training waits for patches."""

from __future__ import annotations

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.runs.records import Finding

MIN_WAIT_SHARE = 0.2
"""Share of the training time spent waiting for patches: at 0.2, training without waiting would be a
quarter faster. Healthy runs without workers waited 0.04 to 0.06."""
NUM_EPOCHS = 3
"""Latest epochs with such a share; a run's first epoch, which fills caches, is not counted."""


def find(evidence: Evidence) -> Finding | None:
    """Find a loader that is slower than the training step."""
    points = [(epoch, share) for epoch, share in evidence.points("loader_wait_share") if epoch]
    recent = points[-NUM_EPOCHS:]
    if len(recent) < NUM_EPOCHS or min(share for _, share in recent) < MIN_WAIT_SHARE:
        return None
    share = sum(value for _, value in recent) / NUM_EPOCHS
    first, last = recent[0][0], recent[-1][0]
    rate = evidence.value_at("patches_per_second", last)
    workers = evidence.config.runtime.workers
    rate_text = f" of {rate:.2g} patches a second" if rate is not None else ""
    return Finding(
        name="slow_loading",
        title="Training waits for its data",
        evidence=(
            f"In {epochs(first, last)} training waited {percent(share)} of its time for patches; "
            f"at best it could run at {1 / max(1e-9, 1 - share):.1f} times its rate{rate_text}. "
            f"runtime.workers is {'chosen for the machine' if workers is None else workers}."
        ),
        remedy=(
            f"{_more_workers(workers)} where cores are free; on a GPU runtime.augment_on=device; "
            f"{_less_augmentation(evidence.config)}keep data.store on a local disk."
        ),
        severity="warning",
        epochs=(first, last),
        numbers={"wait_share": share, **({} if rate is None else {"patches_per_second": rate})},
    )


def _more_workers(workers: int | None) -> str:
    if workers is None:
        return "Set runtime.workers above the number that was chosen for the machine"
    return f"--set runtime.workers={max(2, 2 * workers)}"


def _less_augmentation(config: Config) -> str:
    """The augmentations that take the most time, drawn half as often."""
    settings = [
        f"augment.{name}.p={p / 2:.2g}"
        for name in ("rotation", "scaling", "low_resolution")
        if (p := getattr(config.augment, name).p)
    ]
    return f"else {' '.join(settings)}; " if settings else ""
