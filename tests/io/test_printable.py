from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.io.printable import number_of, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("scroll 4, Ångström, 紙草, פפירוס", "scroll 4, Ångström, 紙草, פפירוס"),
        ("[/x] [bold] [link=http://a] :smile:", "[/x] [bold] [link=http://a] :smile:"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nerror: b\r\tc\x00\x7f\x9b", "a\\nerror: b\\r\\tc\\x00\\x7f\\x9b"),
        ("txt\u202egpj", "txt\\u202egpj"),
        ("a\u200bb\u2066c\ufeff\u2028", "a\\u200bb\\u2066c\\ufeff\\u2028"),
        (os.fsdecode(b"caf\xe9.tif"), "caf\\xe9.tif"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_acts_is_written_out_and_letters_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(categories=None) | st.characters(categories=["Cc", "Cf", "Cs"])))
def test_the_result_is_one_line_that_every_file_can_hold(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_one_thing_is_named_in_the_singular() -> None:
    assert [number_of(n, "held-out case") for n in (0, 1, 2)] == [
        "0 held-out cases", "1 held-out case", "2 held-out cases"
    ]  # fmt: skip
    assert [number_of(n, "minute") for n in (1.0, 2.5, 1e7)] == [
        "1 minute", "2.5 minutes", "1e+07 minutes"
    ]  # fmt: skip
