"""Settings that a run takes and that change nothing in it."""

from __future__ import annotations

from vesuv.config.root import Config


def idle_settings(config: Config) -> list[str]:
    """Return a sentence for each setting that begins after the run, or that no loss reads."""
    return [*_late_settings(config), *_unweighted_losses(config)]


def _late_settings(config: Config) -> list[str]:
    starts = {f"phases.{index}": phase.epochs[0] for index, phase in enumerate(config.phases)}
    if config.averaging.swa is not None:
        starts["averaging.swa"] = config.averaging.swa.start_epoch
    if config.noise is not None:
        starts["noise"] = config.noise.start_epoch
    last = config.train.epochs - 1
    return [
        f"{key} begins at epoch {start}, after the last epoch {last}: it changes nothing"
        for key, start in starts.items()
        if start > last
    ]


def _unweighted_losses(config: Config) -> list[str]:
    weighted = {name for phase in config.phases for name, weight in phase.weights.items() if weight}
    default = type(config.loss)()
    names = [name for name in type(config.loss).model_fields if name != "class_weights"]
    sentences = [
        f"loss.{name} is set, but no phase gives {name} a weight: it changes nothing"
        for name in names
        if name not in weighted and getattr(config.loss, name) != getattr(default, name)
    ]
    readers = [name for name in names if getattr(config.loss.term(name), "class_weights", None)]
    if config.loss.class_weights is not None and not weighted & set(readers):
        sentences.append(
            f"loss.class_weights is set, but no phase gives a weight to {' or '.join(readers)}: it "
            "changes nothing"
        )
    return sentences
