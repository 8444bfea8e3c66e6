"""The fast way through usual groups sees what the general way sees, tag by tag."""

from __future__ import annotations

import gzip
import random
import re
from dataclasses import fields
from pathlib import Path

import pytest

from helpers.environment import DATA
from tailflame.parse import svg_boxes
from tailflame.parse.source import Source
from tailflame.parse.svg_boxes import Boxes, scan

GRAPHS = DATA / "flamegraph"
ODD = (
    "<!-- ", " -->", "<title>", "</title>", "a < b", "<g>", "</g>", "<script>", "</script>", "\n", "<a href='x'>",
    "</a>", '<rect x="1" y="2" width="3" title="a<b"', '"/>', "<style>", "</style>", "<![CDATA[", "]]>",
)  # fmt: skip


def told(boxes: Boxes) -> dict[str, str]:
    columns = {}
    for column in fields(boxes):
        value = getattr(boxes, column.name)
        columns[column.name] = str(value.tolist()) if hasattr(value, "tolist") else str(value)
    return columns


def both(path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> tuple[Boxes, Boxes]:
    source = Source(path)
    whole = source.chunks
    monkeypatch.setattr(source, "chunks", lambda: whole(chunk))
    fast = scan(source)
    with monkeypatch.context() as patch:
        for name in ("_FLUID_GROUP", "_PLAIN_GROUP"):
            patch.setattr(svg_boxes, name, re.compile("(?!)"))
        return fast, scan(source)


@pytest.mark.parametrize(
    "name",
    [
        "inferno/0.12.8/stacks.svg",
        "inferno/0.12.8/flamechart.svg.gz",
        "flamegraph.pl/2024-10/stacks.svg",
        "flamegraph.pl/2024-10/period.svg.gz",
    ],
)
@pytest.mark.parametrize("chunk", [701, 1 << 20])
def test_recorded_graphs(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = both(GRAPHS / name, monkeypatch, chunk)
    assert len(fast) > 200
    assert told(fast) == told(slow)


@pytest.mark.parametrize("name", ["inferno/0.12.8/stacks.svg", "flamegraph.pl/2024-10/stacks.svg"])
def test_spoilt_graphs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (GRAPHS / name).read_text()
    path = tmp_path / "graph.svg"
    for seed in range(60):
        chance = random.Random(seed)
        spoilt = text[: 12_000 + chance.randrange(8_000)]
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(6_000, len(spoilt))
            spoilt = spoilt[:at] + chance.choice(ODD) + spoilt[at:]
        path.write_text(spoilt)
        fast, slow = both(path, monkeypatch, chance.choice((997, 1 << 20)))
        assert told(fast) == told(slow), seed


def test_a_comment_around_groups_hides_them_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = gzip.decompress((GRAPHS / "inferno/0.12.8/flamechart.svg.gz").read_bytes()).decode()
    at = [match.start() for match in re.finditer("<g><title>", text)]
    path = tmp_path / "graph.svg"
    path.write_text(f"{text[: at[5]]}<!-- {text[at[5] : at[9]]} -->{text[at[9] :]}")
    fast, slow = both(path, monkeypatch, 1 << 20)
    assert len(fast) == len(at) - 4 == len(slow)
