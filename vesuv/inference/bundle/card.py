"""Model card: what a bundle segments, its data, scores, settings and limits, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vesuv.config import Config
from vesuv.config.training import Average
from vesuv.inference.bundle.facts import SelectionScores, TrainingFacts
from vesuv.inference.bundle.processing import normalisation
from vesuv.inference.bundle.writing import network_names
from vesuv.inference.chosen_mask import choose_mask
from vesuv.inference.domain_shift import SPACING_FACTOR
from vesuv.inference.members import Member
from vesuv.inference.temperature import selected_temperatures
from vesuv.io.tables import markdown_text
from vesuv.runs.records import TrainingImages

_NOT_RECORDED = "not recorded"


def model_card(
    members: Sequence[Member],
    facts: TrainingFacts | None = None,
    licence: str | None = None,
    *,
    onnx: bool = False,
) -> str:
    """Return the model card of networks whose probabilities are averaged.

    Args:
        members: The networks.
        facts: What is known about their training; None: nothing.
        licence: Licence of the weights.
        onnx: Whether the bundle holds the networks as ONNX too.
    """
    facts = facts or TrainingFacts()
    config = members[0].checkpoint.config
    sections = {
        "What it segments": _classes(config),
        "Training data": _data(members, facts),
        "Scores": _scores(members, facts.scores),
        "Settings": _settings(members),
        "Limits": _limits(members),
        "Licence": [markdown_text(licence) if licence else "The author states none."],
        "How to run": _commands(members[0].inference.average if onnx else None),
    }
    lines = [f"# {markdown_text(config.name)}"]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", *content]
    return "\n".join(lines) + "\n"


def _classes(config: Config) -> Iterable[str]:
    labels = config.labels
    yield "3D segmentation of volumes. The values of a mask:"
    yield ""
    yield "| class | value |"
    yield "|:--|--:|"
    for name, values in labels.values():
        yield f"| {markdown_text(name)} | {values[0]} |"
    if labels.regions is not None:
        regions = (f"{name} ({', '.join(parts)})" for name, parts in labels.regions.items())
        yield ""
        names = markdown_text("; ".join(regions))
        yield f"The networks predict regions, which may overlap: {names}."


def _data(members: Sequence[Member], facts: TrainingFacts) -> Iterable[str]:
    yield f"- Cases: {_NOT_RECORDED if facts.num_cases is None else facts.num_cases}"
    shapes = _NOT_RECORDED
    if facts.shapes:
        low, high = (_times(map(pick, zip(*facts.shapes, strict=True))) for pick in (min, max))
        shapes = low if low == high else f"{low} to {high}"
    yield f"- Shape of a case in voxels (z, y, x): {shapes}"
    images = next((one.training_images for one in members if one.training_images), None)
    yield f"- Spacing of the files (z, y, x): {_spacing(images)}"
    if images is None or not images.channels:
        yield f"- Intensities of the files: {_NOT_RECORDED}"
        return
    for number, channel in enumerate(images.channels):
        name = f" of channel {number}" if len(images.channels) > 1 else ""
        yield (
            f"- Intensities{name}: the smallest value of a case is {_interval(channel.minimum)}; "
            f"99 % of a case's voxels span {_interval(channel.width)}"
        )


def _spacing(images: TrainingImages | None) -> str:
    if images is None:
        return _NOT_RECORDED
    if images.spacing is None:
        return "not stated in the files"
    low, median, high = (_times(edges) for edges in images.spacing.model_dump().values())
    unit = f" {images.unit}" if images.unit else ", unit not stated"
    return f"{median}{unit}" + ("" if low == high else f", from {low} to {high}")


def _scores(members: Sequence[Member], scores: Sequence[SelectionScores]) -> Iterable[str]:
    if not scores:
        yield "Not measured."
        return
    if len(scores) > 1:
        yield "Of the networks one by one, not of their mean, which is not measured:"
        yield ""
    for one in scores:
        yield f"- {_score(one)}"
    if len(members) > 1 and len(scores) == 1:
        yield ""
        yield "Each held-out case was predicted by the networks that did not train on it."


def _score(scores: SelectionScores) -> str:
    honest = scores.honest
    if honest is None or honest.dice is None:
        chosen = "not measured" if scores.dice is None else f"{scores.dice:.4f}, which is too high"
        return (
            "Dice on cases that were not chosen on: not measured; on the held-out cases that the "
            f"settings were chosen on: {chosen}"
        )
    interval = ""
    if honest.interval is not None:
        low, high = honest.interval
        interval = f" (of the {len(honest.rounds)} parts {low:.4f} to {high:.4f})"
    return (
        f"Dice {honest.dice:.4f}{interval}: mean over held-out cases; the settings were chosen "
        f"without the {honest.left_out} that they were measured on"
    )


def _settings(members: Sequence[Member]) -> Iterable[str]:
    yield "| file | network | patch (z, y, x) | epoch | weight |"
    yield "|:--|:--|:--|--:|--:|"
    for name, one in zip(network_names(members), members, strict=True):
        config = one.checkpoint.config
        yield (
            f"| {name}.safetensors | {config.model.name} | "
            f"{_times(config.sampling.patch_size)} | {one.checkpoint.epoch} | {one.weight:g} |"
        )
    first = members[0]
    target = first.checkpoint.config.data.spacing
    mask, temperatures = choose_mask(members).settings, selected_temperatures(members)
    yield ""
    yield f"- Resampling: {f'to {_times(target)}' if target else 'none'}"
    yield from _normalisation(first)
    inference = first.inference
    size = f"{_times(inference.patch_size)} voxels, " if inference.patch_size else ""
    yield (
        f"- Windows: {size}overlap {inference.overlap:g}, views {inference.views}, averaged as "
        f"{inference.average}"
    )
    for name, cut in zip(mask.targets.names, mask.cuts, strict=True):
        yield f"- Mask of {markdown_text(name)}: {str(cut) or 'the likeliest class'}"
    temperature = "none chosen"
    if temperatures is not None:
        temperature = ", ".join(f"{value:.4g}" for value in temperatures)
    yield f"- Temperature of calibrated probabilities: {temperature}"


def _normalisation(member: Member) -> Iterable[str]:
    checkpoint = member.checkpoint
    channels = normalisation(checkpoint.normalizer, checkpoint.config.model.in_channels)
    for number, channel in enumerate(channels):
        low, high, shift, scale = (_number(value) for value in channel.values())
        name = f" of channel {number}" if len(channels) > 1 else ""
        clip = f"clip to {low or 'any'} to {high or 'any'}, " if low or high else ""
        yield f"- Normalisation{name}: {clip}subtract {shift}, divide by {scale}"


def _number(value: float | str | None) -> str:
    """Return a number, or the name of a statistic of the image."""
    if value is None:
        return ""
    return f"the {value} of the image" if isinstance(value, str) else f"{value:.6g}"


def _limits(members: Sequence[Member]) -> Iterable[str]:
    config = members[0].checkpoint.config
    num_channels = config.model.in_channels
    yield f"- An image has {num_channels} channel{'s' if num_channels > 1 else ''}, as in training."
    if config.data.spacing is None:
        yield "- Images are not resampled: their voxels should be as large as those of training."
    if any(one.training_images for one in members):
        yield (
            f"- Predictions warn where the spacing differs more than {SPACING_FACTOR:g} times from "
            "all training cases, and where the unit, the direction of the axes or the intensities "
            "differ from training."
        )
    else:
        yield "- The training images are not recorded, so predictions give no warning about inputs."
    yield (
        "- The scores hold for data like those of training. Measure on labelled volumes of your "
        "own before you rely on a mask."
    )


def _commands(onnx_output: Average | None) -> Iterable[str]:
    yield "```"
    yield "vesuv predict --model FOLDER_OF_THIS_FILE --input VOLUMES --output MASKS"
    yield "```"
    yield ""
    yield "```python"
    yield "import vesuv"
    yield 'mask = vesuv.load("FOLDER_OF_THIS_FILE").segment(array, spacing=(1.0, 1.0, 1.0))'
    yield "```"
    if onnx_output is not None:
        yield ""
        yield (
            f"Without vesuv: each .onnx file maps an image (b, c, z, y, x) to {onnx_output} "
            "(b, k, z, y, x); processing.json states what to do before and after. They compute in "
            "float32, as predict does with --set runtime.precision=float32."
        )


def _times(numbers: Iterable[float]) -> str:
    return " × ".join(f"{number:g}" for number in numbers)


def _interval(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
