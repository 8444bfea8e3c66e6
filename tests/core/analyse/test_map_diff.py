"""Maps of two runs: numbers side by side, and no claim that a difference means something."""

from __future__ import annotations

import pytest

from tailflame.analyse.map_diff import compare_maps
from tailflame.analyse.map_text import (
    bucket_text,
    key_text,
    key_titles,
    part_text,
    row_figures,
    unit_of_map,
    value_text,
    value_titles,
)
from tailflame.model.maps import STACK, Bucket, MapKind, MapRow, ProbeMap, ProbeMaps


def values(name: str, unit: str = "", **rows: int) -> ProbeMap:
    return ProbeMap(name, MapKind.VALUES, tuple(MapRow((key,), (n,)) for key, n in rows.items()), unit=unit)


def test_keys_are_paired_and_the_largest_difference_comes_first() -> None:
    changes = compare_maps(ProbeMaps((values("@n", a=10, b=5, gone=1),)), ProbeMaps((values("@n", a=12, b=50, new=3),)))
    (change,) = changes.maps
    assert [(row.key, row.before, row.after) for row in change.rows] == [
        (("b",), 5, 50), (("new",), None, 3), (("a",), 10, 12), (("gone",), 1, None),
    ]  # fmt: skip
    assert [row.change for row in change.rows] == [9.0, None, pytest.approx(0.2), None]
    assert (change.before, change.after) == (16, 65)


def test_what_only_one_side_has_is_named() -> None:
    changes = compare_maps(
        ProbeMaps((values("@n", a=1), values("@old", a=1), values("@u", "ns", a=1))),
        ProbeMaps((values("@n", a=1), values("@new", a=1), values("@u", "bytes", a=1))),
    )
    assert [change.map.name for change in changes.maps] == ["@n"]
    assert (changes.alone_before, changes.alone_after) == (("@old", "@u"), ("@new", "@u"))
    assert "no map in common" in compare_maps(ProbeMaps(), ProbeMaps((values("@n", a=1),))).sentence


@pytest.mark.parametrize(
    ("took", "words"),
    [
        ((10.0, 10.3), "which took about as long"),
        ((10.0, 25.0), "the later one took 2.5 times as long"),
        ((10.0, 2.0), "the earlier one took 5.0 times as long"),
        ((None, 2.0), "a longer or busier run has more"),
    ],
)
def test_runs_of_another_length_are_said_to_be(took: tuple[float | None, float | None], words: str) -> None:
    one = ProbeMaps((values("@n", a=1),))
    assert words in compare_maps(one, one, took_s=took).sentence


def test_histograms_are_compared_by_their_counts() -> None:
    def hist(kind: MapKind, count: int) -> ProbeMaps:
        return ProbeMaps((ProbeMap("@h", kind, (MapRow((), buckets=(Bucket(0, 1, 1), Bucket(2, 3, count))),)),))

    (change,) = compare_maps(hist(MapKind.HIST, 4), hist(MapKind.LHIST, 9)).maps
    assert [(row.before, row.after) for row in change.rows] == [(5, 10)]


def test_words() -> None:
    stats = ProbeMap(
        "@w", MapKind.STATS, (MapRow(("main\nrun", "7"), (2, 1500, 3000)),), "Waits", "ns", (STACK, "thread")
    )
    assert key_titles(stats) == ("where", "thread")
    assert value_titles(stats) == ("count", "average", "total")
    assert row_figures(stats.rows[0], stats) == ("2", "1.50 µs", "3.00 µs")
    assert key_text(stats.rows[0], stats) == "run  ←  main, 7"
    assert part_text("alone", STACK) == "alone"
    assert stats.label == "Waits" and stats.total == 3000
    assert unit_of_map(values("@read_usecs")) == "µs" and unit_of_map(values("@x")) == ""
    assert (value_text(1_500_000, "ns"), value_text(2048, "bytes"), value_text(1234, "")) == (
        "1.50 ms",
        "2.0 kB",
        "1,234",
    )
    assert bucket_text(Bucket(1024, 2047, 1), "ns") == "1.02 µs to 2.05 µs"
    assert bucket_text(Bucket(None, -1, 1), "") == "below 0"
    assert bucket_text(Bucket(1 << 31, None, 1), "ns") == "2.15 s and more"
    assert bucket_text(Bucket(3, 3, 1), "") == "3"
    assert row_figures(MapRow((), text="hello"), values("@w")) == ("hello",)
