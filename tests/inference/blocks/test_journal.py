"""The records of a prediction in blocks, and how two of its settings are compared."""

from __future__ import annotations

from pathlib import Path

from vesuv.inference.blocks.journal import BlockRecord, Journal, first_difference, plain_json
from vesuv.inference.blocks.plan import BlockPlan

EARLIER = {"threshold": 0.5, "inference": {"views": "none", "overlap": 0.5}, "written": "then"}


def test_equal_settings_have_no_difference_whenever_they_were_written() -> None:
    assert first_difference(EARLIER, EARLIER | {"written": "now", "software": {"torch": 2}}) is None


def test_reasons_may_differ_and_classes_of_any_name_may_not() -> None:
    earlier = {"threshold": {"value": {"threads": 0.5, "written": 0.5}, "why": "asked for"}}
    same = {"threshold": earlier["threshold"] | {"why": "selected"}}
    other = {"threshold": {"value": {"threads": 0.6, "written": 0.5}, "why": "asked for"}}

    assert first_difference(earlier, same) is None
    assert first_difference(earlier, other) == "threshold.value.threads 0.5, now 0.6"


def test_the_first_setting_that_differs_is_named_with_both_values() -> None:
    now = EARLIER | {"inference": {"views": "mirror", "overlap": 0.5}, "threshold": 0.5}

    assert first_difference(EARLIER, now) == "inference.views 'none', now 'mirror'"


def test_a_setting_that_only_one_side_has_is_a_difference() -> None:
    more = EARLIER | {"calibrated": True}

    assert first_difference(EARLIER, more) == "calibrated None, now True"
    assert first_difference(more, EARLIER) == "calibrated True, now None"


def test_settings_are_compared_as_json_gives_them_back() -> None:
    assert first_difference(plain_json({"size": (1, 2)}), plain_json({"size": [1, 2]})) is None


def test_finished_blocks_are_read_back_and_a_removed_one_is_not(tmp_path: Path) -> None:
    blocks = BlockPlan.of((32, 16, 16), 16).blocks
    journal = Journal.of(tmp_path)
    record = BlockRecord("1.0.0", {"0": {"c/1/0/0": "abc"}}, computed=3, empty=1)

    journal.start({"threshold": 0.5})
    journal.add(record)

    assert journal.exists
    assert not journal.is_finished
    assert journal.job()["threshold"] == 0.5
    assert journal.records(blocks) == {"1.0.0": record}
    journal.remove(record)
    assert journal.records(blocks) == {}
    journal.finish()
    assert journal.is_finished
