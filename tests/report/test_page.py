from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.conftest import (
    FINDING,
    HISTOGRAM,
    NOW,
    MakeRun,
    tile,
    write_facts,
    write_json,
    write_lines,
    write_slices,
)
from vesuv.report.page import write_page

FILES = (
    "config.yaml",
    "metrics.csv",
    "run.json",
    "events.jsonl",
    "evidence.jsonl",
    "diagnosis.json",
    "slices.npz",
    "distribution/summary.json",
)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VOID = {"meta", "img", "br", "link", "hr"}


class PageParser(HTMLParser):
    """Collects tags and text; fails at a closing tag that does not match the last opening tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def parse_page(run: Path) -> PageParser:
    parser = PageParser()
    parser.feed(write_page(run, now=NOW).read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def test_a_complete_run_shows_every_section_with_its_numbers(make_run: MakeRun) -> None:
    page = parse_page(make_run())

    headings = [attrs.get("id") for tag, attrs in page.tags if tag == "section"]
    assert headings == [
        "findings",
        "curves",
        "slices",
        "distribution",
        "groups",
        "speed",
        "configuration",
    ]
    for words in (
        "sheets, fold 3",
        "4 of 300 epochs done",
        "best dice 0.7000 epoch 3",
        "No findings as of epoch 3",
        "epochs 0–1: dice 1",
        "epochs from 2: dice 0.8, focal 0.2",
        "weight noise\xa0(1)",
        "Totals of different phases are different functions",
        "Dice 0.500: 6 true positive, 6 false positive, 6 false negative voxels",
        "60.0 % from 0.5 on",
        "1 of 2 lie above the diagonal",
        "ema at 0.65: highest Dice",
        "0.7007",
        "16.00",
        "torch 2.13.0",
        "--set train.epochs=300",
        "optimizer.lr",
        "0.0125",
    ):
        words = " ".join(words.split())
        assert words in page.text, words


def test_nothing_is_loaded_from_elsewhere_and_no_script_but_ours_may_run(
    make_run: MakeRun,
) -> None:
    run = make_run()
    page = parse_page(run)

    links = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href")]
    assert all(link is not None and link.startswith(("data:image/png", "#")) for link in links)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    text = (run / "report.html").read_text()
    for tag, directive in (("script", "script-src"), ("style", "style-src-elem")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    assert "pointermove" in script


def test_the_page_holds_no_external_reference(make_run: MakeRun) -> None:
    page = write_page(make_run(), now=NOW).read_text()

    own = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)

    references = r"https?:|ftp:|//\w|@import|url\(|<link|<base|<iframe|<object|<embed|srcset|xlink"
    assert re.findall(references, own) == []
    assert len(own) < len(page)


def test_every_picture_and_chart_is_described_in_words(make_run: MakeRun) -> None:
    page = parse_page(make_run())

    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    charts = [attrs for _, attrs in page.tags if attrs.get("role") == "img"]
    assert len(pictures) == 4
    assert len(charts) >= 10
    assert all(attrs.get("alt") for attrs in pictures)
    assert all(attrs.get("aria-label") for attrs in charts)


def test_text_from_files_stays_text(make_run: MakeRun) -> None:
    run = make_run()
    config = (run / "config.yaml").read_text()
    name = EVIL.replace("/", "")  # a name holds no folder
    (run / "config.yaml").write_text(config.replace("name: sheets", f"name: {json.dumps(name)}"))
    fill(run, EVIL)

    page = parse_page(run)

    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert all((a["src"] or "").startswith("data:") for tag, a in page.tags if tag == "img")
    assert page.text.count("<script>alert(1)</script>") > 12
    assert f"{name}, fold 3" in page.text


def fill(run: Path, text: str) -> None:
    """Put `text` into every free text of the files of a run."""
    write_facts(
        run,
        device=text,
        started=text,
        store=text,
        config_file=text,
        overrides=[text],
        packages={text: text},
        base_differences=[{"key": text, "value": [{text: text}], "base": text}],
    )
    write_lines(run / "events.jsonl", [{"epoch": 1, "kind": k, "line": text} for k in (text, "x")])
    evidence = {"epoch": 1, "histogram": HISTOGRAM, "groups": {text: 0.5, "b": 0.6}}
    write_lines(run / "evidence.jsonl", [{**evidence, "tiles": [tile(text, text)]}])
    finding = {**FINDING, **dict.fromkeys(("name", "title", "evidence", "remedy"), text)}
    findings = [{**finding, "numbers": {text: math.nan}}, {**finding, "severity": text}]
    write_json(run / "diagnosis.json", {"epoch": 1, "findings": findings[:1]})
    choice = dict.fromkeys(("checkpoint", "threshold", "postprocess", "dice"), text)
    write_json(
        run / "distribution" / "summary.json",
        {"selected": {**choice, "why": text, "honest": {"left_out": text}}, "choices": [choice]},
    )
    write_slices(run, cases=[text])
    metrics = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(metrics.replace("val/loss_dice", "val/loss_<img onerror=x>"))


def test_invalid_characters_are_replaced(make_run: MakeRun) -> None:
    run = make_run()
    fill(run, "\ud800<b>")

    assert "?<b>" in parse_page(run).text


@pytest.mark.slow
def test_long_text_is_truncated(make_run: MakeRun) -> None:
    run = make_run()
    long_text = "word" * 250_000
    config = (run / "config.yaml").read_text().replace("sheets", long_text)
    (run / "config.yaml").write_text(config.replace("surface: 1", f"{long_text}: 1"))
    fill(run, long_text)

    page = parse_page(run)

    assert long_text[:2000] + "…" in page.text
    assert len(page.text) < 500_000


@pytest.mark.parametrize(
    "number", ["NaN", "1e999", "-1e999", "1e300", "-1e300", "1e-300", "0", "1" + "0" * 400]
)
def test_a_page_is_written_in_spite_of_extreme_numbers(make_run: MakeRun, number: str) -> None:
    run = make_run()
    header, first, *others = (run / "metrics.csv").read_text().splitlines()
    cells = first.split(",")
    lines = [[number, *cells[1:]], [cells[0], *[number] * len(cells[1:])]]
    rows = [header, *map(",".join, lines), *others]
    (run / "metrics.csv").write_text("\n".join([*rows, ""]))
    for name, former in (
        ("events.jsonl", '"epoch": 2'),
        ("evidence.jsonl", '"epoch": 0'),
        ("evidence.jsonl", "0.7"),
        ("distribution/summary.json", "0.7171"),
        ("config.yaml", "300"),
        ("config.yaml", "null"),
    ):
        text = (run / name).read_text()
        (run / name).write_text(text.replace(former, re.sub(r"[\d.]+$|null", number, former)))

    page = parse_page(run)

    assert "best dice 0.7000" in page.text


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_leaves_out_its_part_alone(make_run: MakeRun, missing: str) -> None:
    run = make_run()
    (run / missing).unlink()

    page = parse_page(run)

    assert ("Not diagnosed yet" in page.text) == (missing == "diagnosis.json")
    assert ("No epoch is finished yet" in page.text) == (missing == "metrics.csv")
    assert ("case_7" in page.text) == (missing != "slices.npz")
    assert ("north" in page.text) == (missing != "evidence.jsonl")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"\xff\x00{", b"[1, 2", b'{"epoch": 1}\nepoch,lr\n1'])
def test_a_page_is_written_in_spite_of_a_damaged_file(
    make_run: MakeRun, name: str, content: bytes
) -> None:
    run = make_run()
    (run / name).write_bytes(content)

    page = parse_page(run)

    assert "Configuration" in page.text


def test_an_empty_folder_has_a_page(tmp_path: Path) -> None:
    page = parse_page(tmp_path)

    assert "No epoch is finished yet." in page.text
    assert "config.yaml is missing." in page.text


def test_equal_files_give_equal_pages_and_nothing_else_is_left(make_run: MakeRun) -> None:
    run = make_run()
    before = {path.name for path in run.iterdir()}

    first = write_page(run, now=NOW).read_bytes()
    second = write_page(run, now=NOW).read_bytes()

    assert first == second
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


def test_a_page_that_cannot_be_put_in_place_leaves_no_part_of_it(make_run: MakeRun) -> None:
    run = make_run()
    (run / "report.html").mkdir()
    before = sorted(path.name for path in run.iterdir())

    with pytest.raises(OSError, match=r"report\.html"):
        write_page(run, now=NOW)

    assert sorted(path.name for path in run.iterdir()) == before


def test_three_hundred_epochs_stay_below_half_a_megabyte(make_run: MakeRun) -> None:
    run = make_run(300)

    assert write_page(run, now=NOW).stat().st_size < 500_000
