"""What validate_distribution chose: checkpoint, threshold and the steps after it."""

from __future__ import annotations

from vesuv.report.page_files import Facts, mapping, number, records
from vesuv.report.page_text import figure, percent, table, text, value_text


def selection(summary: Facts | None) -> str:
    """Return the choice and what it was chosen from, or how to make it."""
    chosen = mapping((summary or {}).get("selected"))
    if not chosen:
        return (
            '<p class="note">Checkpoint and threshold are not selected yet: '
            "<code>validate_distribution</code> does that on whole volumes.</p>"
        )
    rows = [_choice(chosen, chosen=True)]
    best: dict[str, Facts] = {}
    for choice in records((summary or {}).get("choices")):
        name = str(choice.get("checkpoint"))
        if not number(choice.get("dice")):
            continue
        if name not in best or choice["dice"] > best[name]["dice"]:
            best[name] = choice
    rows += [_choice(c, chosen=False) for c in best.values() if not _same(c, chosen)]
    headers = ("Checkpoint", "Threshold", "Steps after", "Dice", "Predicted", "Labelled", "Off by")
    honest = mapping(chosen.get("honest"))
    why = f"<p>{text(chosen['why'])}</p>" if chosen.get("why") else ""
    estimate = (
        f"<p>Honest estimate, chosen without and scored on each {text(honest.get('left_out', ''))} "
        f"in turn: Dice {figure(honest.get('dice'))}, off by {percent(honest.get('gap'))}.</p>"
        if honest
        else ""
    )
    return (
        f"<h3>Selected on whole volumes</h3>{why}{estimate}"
        f"{table(headers, rows, numeric=(1, 3, 4, 5, 6))}"
        '<p class="note">First the choice, then each checkpoint at its own best Dice.</p>'
    )


def _same(one: Facts, other: Facts) -> bool:
    return all(one.get(k) == other.get(k) for k in ("checkpoint", "threshold", "postprocess"))


def _choice(choice: Facts, *, chosen: bool) -> list[str]:
    name = text(choice.get("checkpoint", ""))
    steps = choice.get("postprocess")
    return [
        f"<strong>{name} ✓</strong>" if chosen else name,
        text(value_text(choice.get("threshold"))),
        text(value_text(steps)) if steps else "–",
        figure(choice.get("dice")),
        percent(choice.get("predicted_fraction")),
        percent(choice.get("labelled_fraction")),
        percent(choice.get("gap")),
    ]
