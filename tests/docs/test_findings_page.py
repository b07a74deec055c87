"""The page of the findings against the findings."""

from __future__ import annotations

import json
import re

from docs.gallery.findings import TEXTS, quoted
from tests.docs.pages import text_of
from vesuv.diagnosis import FINDINGS
from vesuv.diagnosis.remedies import alternatives

PAGE = "why_is_it_stuck.md"


def test_each_finding_has_its_entry_and_picture_and_no_entry_is_of_another() -> None:
    headings = re.findall(r"^## ([a-z_]+)$", text_of(PAGE), re.M)

    assert headings == list(FINDINGS), "in the order of their priority"
    for name in FINDINGS:
        assert f"(images/findings/{name}.png)" in text_of(PAGE)


def test_each_entry_quotes_what_the_sick_run_said() -> None:
    texts = json.loads(TEXTS.read_text(encoding="utf-8"))

    assert set(texts) == set(FINDINGS)
    assert quoted(text_of(PAGE), texts) == text_of(PAGE)
    for name, text in texts.items():
        assert f"> → {text['remedy']}\n" in text_of(PAGE), name


def test_a_quotation_that_a_run_did_not_say_would_be_found() -> None:
    texts = json.loads(TEXTS.read_text(encoding="utf-8"))
    texts["collapse"]["evidence"] = "something else"

    assert quoted(text_of(PAGE), texts) != text_of(PAGE)
    assert "something else" in quoted(text_of(PAGE), texts)


def test_each_entry_says_what_is_looked_at_and_what_to_do() -> None:
    for entry in re.split(r"^## ", text_of(PAGE), flags=re.M)[1:]:
        name = entry.partition("\n")[0]
        if name in FINDINGS:
            assert "It looks at" in entry, name
            assert len(entry.partition("![")[0]) > 250, name


def test_the_remedies_of_the_runs_name_settings() -> None:
    texts = json.loads(TEXTS.read_text(encoding="utf-8"))
    with_settings = [name for name, text in texts.items() if alternatives(text["remedy"])]

    assert len(with_settings) > len(texts) / 2
