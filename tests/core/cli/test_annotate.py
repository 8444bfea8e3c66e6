"""`tailflame annotate`: costs beside source lines and instructions, in the figures of `perf annotate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from helpers import perf_annotate
from helpers.spin import RECORDED, at_home
from tailflame.store import update_settings

Tailflame: TypeAlias = Callable[..., Any]
DATA = RECORDED / "fp.data"
STACKS = "book;main;match_order 5000\nbook;main;check_risk 2500\nbook;main;risk;check_exposure 2500\n"
objdump = pytest.mark.tool("objdump")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path / "home", monkeypatch)
    monkeypatch.chdir(tmp_path)


def map_sources() -> None:
    update_settings(lambda settings: replace(settings, source_map=(("/src/spin", str(RECORDED)),)))


@objdump
def test_every_instruction_costs_what_perf_annotate_says(tailflame: Tailflame) -> None:
    samples, percent = perf_annotate.figures((RECORDED / "fp.annotate.txt").read_text())
    run = tailflame("annotate", DATA, "churn", "--asm", "--json")
    code = run.document["code"]
    assert {row["address"]: row["samples"] for row in code["instructions"]} == samples
    ours = {row["address"]: 100 * row["self"] / code["self"] for row in code["instructions"]}
    assert ours == pytest.approx(percent, abs=0.1)
    assert (code["symbol"], code["problem"], code["caution"]) == ("churn", "", "")
    assert "source" not in run.document


@objdump
def test_weighed_by_the_period_it_is_the_same(tailflame: Tailflame) -> None:
    _samples, percent = perf_annotate.figures((RECORDED / "fp.annotate.txt").read_text())
    code = tailflame("annotate", DATA, "churn", "--asm", "--json", "--weight", "period").document["code"]
    assert {r["address"]: 100 * r["self"] / code["self"] for r in code["instructions"]} == pytest.approx(
        percent, abs=0.1
    )


def test_lines_are_printed_with_what_is_inlined_below_them(tailflame: Tailflame) -> None:
    map_sources()
    run = tailflame("annotate", DATA, "churn", "--source")
    assert run.code == 0
    lines = run.out.splitlines()
    loop = next(at for at, line in enumerate(lines) if "sum += blend(sum, i);" in line)
    assert "24" in lines[loop]
    assert "└ blend  spin.c:18" in lines[loop + 1]
    assert "└ twist" in lines[loop + 2]
    assert "0x" not in run.out


def test_lines_of_a_function_add_up_to_what_it_costs(tailflame: Tailflame) -> None:
    map_sources()
    document = tailflame("annotate", DATA, "churn", "--source", "--json").document
    source = document["source"]
    assert source["path"] == str(RECORDED / "spin.c")
    assert sum(line["self"] for line in source["lines"]) == source["self"] == document["self"] == 723
    assert {line["line"] for line in source["lines"]} <= set(range(11, 27))
    assert "code" not in document


def test_a_missing_source_is_told_with_the_places_and_costs_are_shown_all_the_same(tailflame: Tailflame) -> None:
    run = tailflame("annotate", DATA, "churn", "--source")
    assert "/src/spin/spin.c is not on this machine." in run.out
    assert "Looked for" in run.out
    assert "└ blend  spin.c:18" in run.out
    source = tailflame("annotate", DATA, "churn", "--source", "--json").document["source"]
    assert source["path"] is None and "/src/spin/spin.c" in source["looked"]


def test_a_function_is_asked_for_by_its_name_or_the_end_of_it(tailflame: Tailflame, tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.folded"
    stacks.write_text(STACKS)
    nobody = tailflame("annotate", stacks, "nobody")
    assert (nobody.code, "No function is called" in nobody.err) == (2, True)
    several = tailflame("annotate", stacks, "check")
    assert (several.code, "not one function" in several.err) == (2, True)


def test_a_format_without_lines_and_addresses_says_so(tailflame: Tailflame, tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.folded"
    stacks.write_text(STACKS)
    run = tailflame("annotate", stacks, "match_order")
    assert run.code == 3
    assert "keeps no addresses" in run.out and "no source lines" in run.out
    assert "debug = true" in run.err
    document = tailflame("annotate", stacks, "match_order", "--json").document
    assert (document["source"], document["code"]) == (None, None)
