"""A small table of costs, for views: two functions in two files, with every event of cachegrind."""

from __future__ import annotations

from pathlib import Path

from tailflame.model import CostTable, Recording
from tailflame.parse import load

EVENTS = "Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw Bc Bcm Bi Bim"
TEXT = f"""desc: I1 cache:         32768 B, 64 B, 8-way associative
desc: D1 cache:         49152 B, 64 B, 12-way associative
desc: LL cache:         268435456 B, 64 B, direct-mapped
cmd: ./engine --fast
events: {EVENTS}
fl=/src/book.rs
fn=engine::book::match_order
3 1000 1 0 400 40 2 100 5 0 90 9 0 0
4 500 0 0 200 0 0 50 0 0 0 0 0 0
0 60 0 0 20 12 12 0 0 0 0 0 0 0
fl=/rustc/1/library/core/src/cmp.rs
fn=engine::book::match_order
17 700 0 0 0 0 0 0 0 0 0 0 0 0
fl=/src/risk.rs
fn=engine::risk::check
9 300 30 1 10 9 9 5 5 5 40 30 2 2
"""
SUMMARY = "summary: 2560 31 1 630 61 23 155 10 5 130 39 2 2\n"
MATCH, CHECK = "engine::book::match_order", "engine::risk::check"


def cost_recording(folder: Path, text: str = TEXT + SUMMARY, name: str = "cachegrind.out.1") -> Recording:
    path = folder / name
    path.write_text(text)
    return load(path)


def costs_of(recording: Recording) -> CostTable:
    assert recording.costs is not None
    return recording.costs
