"""vesuv prepare: preparation of data, with a summary of its labels."""

from __future__ import annotations

import time
from statistics import median

from rich.console import Console
from rich.table import Table

from vesuv.cli.console import console
from vesuv.cli.options import Changes, ConfigFile, DryRun, Switch
from vesuv.cli.progress import shown_progress
from vesuv.config import Config, load_config
from vesuv.data.builder import check_preparation, is_prepared, open_matching_store
from vesuv.data.builder import prepare as prepare_store
from vesuv.data.folds import FILE as FOLDS
from vesuv.data.folds import load_folds
from vesuv.data.records import LabelShares
from vesuv.data.splits import splits_file
from vesuv.data.statistics import FEWEST_NUMBERS, float32_numbers
from vesuv.data.store import SUMMARY, Store, store_path
from vesuv.io.printable import number_of

_TABLE_ROWS = 24
_EMPTY = "hold one value alone, first {}: nothing can be learned from them; check the files"
_PARTLY_EMPTY = "hold one value alone in a channel, first {}; check the files"
_FAR = (
    f"lie so far from 0, first {{}}, that fewer than {FEWEST_NUMBERS} float32 numbers, in which "
    "networks compute, are left for their intensities; subtract a constant from the files"
)


def prepare(
    *,
    config: ConfigFile,
    changes: Changes = (),
    overwrite: Switch = False,
    dry_run: DryRun = False,
) -> None:
    """Read the raw data, check every case, write the store and its summary.

    Args:
        config: Configuration file (YAML), or the name of a shipped one.
        changes: Changes to the configuration: section.key=value …
        overwrite: Prepare again from the start.
        dry_run: Check everything, say what would be read and written, and write nothing.
    """
    settings = load_config(config, changes)
    if dry_run:
        _print_plan(settings, overwrite)
        return
    _prepare(settings, overwrite=overwrite)


def _print_plan(config: Config, overwrite: bool) -> None:
    """Print what preparation would read and write, after all its checks."""
    out = console()
    with shown_progress(out, "Checking", "cases") as progress:
        files = check_preparation(
            config, overwrite=overwrite, progress=progress, notes=lambda note: out.print(note)
        )
    for file in files:
        out.print(f"would read: {file}")
    store = store_path(config)
    out.print(f"would write: {store}" if files else f"{store}: is up to date, nothing to write")


def _prepare(config: Config, *, overwrite: bool = False, table: bool = True) -> Store:
    """Prepare the store, or open an existing one that matches; print its summary.

    Args:
        config: The whole configuration.
        overwrite: Prepare again from the start.
        table: Print classes and patches by group or case too.
    """
    out = console()
    start = time.monotonic()
    verb = "is up to date" if is_prepared(config) and not overwrite else "prepared"
    with shown_progress(out, "Preparing", "cases") as progress:
        store = prepare_store(
            config,
            overwrite=overwrite,
            progress=progress,
            notes=lambda note: out.print(note),
        )
    lines = fold_lines(store, config)
    show_summary(store, config, out, table=table)
    for line in lines:
        out.print(line)
    _warn_of_large_patch(store, config, out)
    seconds = time.monotonic() - start
    out.print(f"{store.path}: {number_of(len(store.cases), 'case')}, {verb} ({seconds:.1f} s)")
    return store


def open_or_prepare(config: Config) -> Store:
    """Open an existing store, or prepare it and print its label values; name a file of folds.

    Raises:
        InputErrors: The store is of other settings or data, or cannot be prepared.
    """
    if not is_prepared(config):
        return _prepare(config, table=False)
    store = open_matching_store(config, lambda note: console().print(note))
    for line in fold_lines(store, config):
        console().print(line)
    _warn_of_large_patch(store, config, console())
    return store


def show_summary(store: Store, config: Config, console: Console, *, table: bool = True) -> None:
    """Print label values, then classes and patches by group, or by case without groups."""
    console.print(f"label values: {', '.join(_label_values(store, config))}")
    if table:
        console.print(_table(store, config))
    empty_cases = [name for name, row in store.summary.cases.items() if not row.foreground]
    if empty_cases:
        console.print(
            f"{len(empty_cases)} of {len(store.cases)} cases hold no foreground, "
            f"first {empty_cases[0]}",
        )
    _warn_of_lost_intensities(store, console)


def _warn_of_lost_intensities(store: Store, out: Console) -> None:
    """Say which images were exported without content, or are so far from 0 that it is lost."""
    numbers = {
        name: tuple(map(float32_numbers, case.statistics.min, case.statistics.max))
        for name, case in store.cases.items()
    }
    empty = [name for name, channels in numbers.items() if not any(channels)]
    partly = [
        f"{name} in channel {channels.index(0)}"
        for name, channels in numbers.items()
        if any(channels) and not all(channels)
    ]
    far = [name for name, nums in numbers.items() if any(0 < num < FEWEST_NUMBERS for num in nums)]
    for names, text in ((empty, _EMPTY), (partly, _PARTLY_EMPTY), (far, _FAR)):
        if names:
            text = text.format(names[0])
            out.print(f"warning: {len(names)} of {len(store.cases)} images {text}")


def fold_lines(store: Store, config: Config) -> list[str]:
    """Return where the folds are from, where that is a file, or a file is not used."""
    file = splits_file(config.data)
    folds = load_folds(store, config.data.folds, file)
    if folds.file is None:
        unused = f"folds: {store.path / FOLDS} was drawn, {file} is not used; delete the first one"
        return [] if file is None else [f"{unused} to read the folds from the second"]
    num_unjudged = len(folds.ids) - sum(map(len, folds.validation))
    unjudged = f"; {num_unjudged} of {len(folds.ids)} cases validate none" if num_unjudged else ""
    number = "1 fold" if folds.num == 1 else f"{folds.num} folds"
    return [f"folds: {number}, read from {folds.file}, not drawn by data.folds{unjudged}"]


def _warn_of_large_patch(store: Store, config: Config, out: Console) -> None:
    """Say where half of the volumes or more are shorter than the patch, which is then padded."""
    patch_size = config.sampling.patch_size
    shape = [median(case.shape[axis] for case in store.cases.values()) for axis in range(3)]
    axes = [name for name, edge, size in zip("zyx", patch_size, shape, strict=True) if edge > size]
    if axes:
        volume = "x".join(f"{length:g}" for length in shape)
        out.print(
            f"warning: sampling.patch_size {list(patch_size)} is larger than the median volume "
            f"({volume}) along {', '.join(axes)}: the rest of each patch is padding; lower it"
        )


def _label_values(store: Store, config: Config) -> list[str]:
    """Return each label value with its class and its share of the files' voxels."""
    names = {value: name for name, values in config.labels.values() for value in values}
    if config.labels.ignore is not None:
        names[config.labels.ignore] = "ignore"
    return [
        f"{value} {names.get(value, 'not declared')} {share:.2%}"
        for value, share in store.summary.values.items()
    ]


def _table(store: Store, config: Config) -> Table:
    summary = store.summary
    patch = "x".join(map(str, summary.patch_size))
    table = Table()
    table.add_column("group" if summary.groups else "case")
    columns = ["cases", *config.labels.names, "ignored", f"{patch} patches with foreground"]
    for column in columns:
        table.add_column(column, justify="right")
    rows: list[tuple[str, int, LabelShares]]
    rows = [(name, row.num_cases, row) for name, row in summary.groups.items()]
    rows = rows or [(name, 1, row) for name, row in summary.cases.items()]
    for name, num_cases, row in rows[:_TABLE_ROWS]:
        table.add_row(name, *_cells(num_cases, row))
    if len(rows) > _TABLE_ROWS:
        table.add_row(f"… {len(rows) - _TABLE_ROWS} more in {SUMMARY}")
    table.add_row("all", *_cells(summary.num_cases, summary), style="bold")
    return table


def _cells(num_cases: int, row: LabelShares) -> list[str]:
    shares = [*row.classes.values(), row.ignore, row.patches_with_foreground]
    return [str(num_cases), *(f"{share:.2%}" for share in shares)]
