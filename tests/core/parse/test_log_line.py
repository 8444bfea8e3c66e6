"""Fields of log lines, as tracing and others write them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.parse.log_line import LineReader, duration_ns, numeric_fields, to_ns, to_numbers, unit_of

SAMPLES = DATA / "tracing" / "0.3.23"
STAGES = ("validation_us", "risk_check_us", "execution_us", "total_us", "elapsed")
NAN = math.nan


def lines_of(name: str) -> list[str]:
    return (SAMPLES / name).read_text().splitlines()


@pytest.mark.parametrize(
    "name", ["nested.jsonl", "flattened.jsonl", "text.txt", "ansi.txt", "compact.txt", "pretty.txt"]
)
def test_every_form_of_tracing_has_the_same_fields(name: str) -> None:
    lines = lines_of(name)
    first = {field: pair for field, pair in numeric_fields(lines[0]).items() if field in STAGES}
    assert first == {
        "validation_us": (0.4, "us"),
        "risk_check_us": (1.25, "us"),
        "execution_us": (2.0, "us"),
        "total_us": (3.65, "us"),
        "elapsed": (12_300.0, "ns"),
    }
    rows = LineReader(STAGES).rows(lines)
    assert len(rows) == 60
    columns = [to_ns(cells, unit) for cells, unit in zip(zip(*rows, strict=True), ["us"] * 4 + ["ns"], strict=True)]
    assert columns[0].sum() == pytest.approx(1000 * sum(0.4 + n % 7 / 8 for n in range(60)))
    assert columns[1].tolist() == [250_000.0 if n == 49 else 1250.0 for n in range(60)]
    assert columns[4].tolist() == pytest.approx([12_300.0 * (n + 1) for n in range(60)])
    # The fields of a span are its own. Only the compact form and the pretty one cannot be told from an event's.
    told = {field for line in lines for field in numeric_fields(line)}
    assert ("span_us" in told) == (name in ("compact.txt", "pretty.txt"))
    assert LineReader(("queue_ms",)).rows(lines) in ([(1,)], [("1",)])


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("validation_us", "us"),
        ("x_ns", "ns"),
        ("x_ms", "ms"),
        ("x_s", "s"),
        ("x_nanos", "ns"),
        ("x_micros", "us"),
        ("x_millis", "ms"),
        ("x_secs", "s"),
        ("x_seconds", "s"),
        ("x_µs", "us"),
        ("time.busy_ms", "ms"),
        ("elapsed-ms", "ms"),
        ("durationMs", "ms"),
        ("elapsedNanos", "ns"),
        ("ms", "ms"),
        ("orders", ""),
        ("status", ""),
        ("items", ""),
        ("PARAMS", ""),
        ("order_id", ""),
        ("ns_total", ""),
    ],
)
def test_the_unit_in_a_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("12.3µs", 12_300),
        ("12.3μs", 12_300),
        ("12us", 12_000),
        ("1.5ms", 1_500_000),
        ("2s", 2e9),
        ("150ns", 150),
        ("1.000000001s", 1_000_000_001),
        ("1m30.5s", 90.5e9),
        ("1h2m3s", 3723e9),
        ("-5ms", -5e6),
        ("", None),
        ("h", None),
        ("12", None),
        ("12 apples", None),
        ("1.5MB", None),
        ("12m", 720e9),
    ],
)
def test_durations(text: str, ns: float | None) -> None:
    assert duration_ns(text) == (None if ns is None else pytest.approx(ns))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("validation_us=12", {"validation_us": (12.0, "us")}),
        ("a_us=1,b_us=2, c_us=3;\r", {"a_us": (1.0, "us"), "b_us": (2.0, "us"), "c_us": (3.0, "us")}),
        ('wait_ms="12.5" (cpu_ms=3)', {"wait_ms": (12.5, "ms"), "cpu_ms": (3.0, "ms")}),
        ("took_ms = 7", {"took_ms": (7.0, "ms")}),
        ("took_ms: 7, orders: 3", {"took_ms": (7.0, "ms")}),
        ("elapsed: 12.3µs", {"elapsed": (12_300.0, "ns")}),
        ("elapsed=1.5ms.", {"elapsed": (1_500_000.0, "ns")}),
        ("many_us=1,234", {}),
        ("x_us=NaN y_us= z_us=- w_us=none", {}),
        ("x=1e400", {"x": (math.inf, "")}),
        ("=5 a==6", {}),
        ('{"a_us":1,"b":true,"c":null,"d":"text","e":[1,2],"f":"3.5"}', {"a_us": (1.0, "us"), "f": (3.5, "")}),
        ('{"fields":{"a_us":1},"b":2,"span":{"c_us":3},"spans":[{"d_us":4}]}', {"a_us": (1.0, "us"), "b": (2.0, "")}),
        ('{"db":{"query_ms":3,"pool":{"wait_ms":4}}}', {"db.query_ms": (3.0, "ms"), "db.pool.wait_ms": (4.0, "ms")}),
        ('x_us=12 body={"a_us":1}', {"x_us": (12.0, "us")}),
        ('app[7]: {"a_us":1}', {"a_us": (1.0, "us")}),
        ('{"a_us":NaN,"b_us":2}', {"b_us": (2.0, "us")}),
        ('{"a_us":-1e999}', {}),
        ('{"a_us":1', {}),
        ("{}", {}),
        ("[1,2]", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_lines_by_hand(line: str, expected: dict[str, tuple[float, str]]) -> None:
    assert numeric_fields(line) == expected
    names = tuple(expected)
    if names:
        (row,) = LineReader(names).rows([line])
        for cell, (value, unit) in zip(row, expected.values(), strict=True):
            bare = unit_of(names[row.index(cell)]) or "ns"
            assert to_ns([cell], bare)[0] == pytest.approx(
                value * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit or "ns"]
            )
    else:
        assert LineReader(("absent_us",)).rows([line]) == []


def test_json_and_text_in_one_log_and_fields_that_are_missing() -> None:
    lines = ['{"a_us":1,"b_us":2}', "noise", '{"fields":{"b_us":3}}', "b_us=4", '{"other":1}', "ab_us=5", ""]
    rows = LineReader(("a_us", "b_us")).rows(lines)
    assert rows == [(1, 2), (None, 3), (None, "4")]
    np.testing.assert_array_equal(to_ns([row[0] for row in rows], "us"), [1000.0, NAN, NAN])
    assert to_ns([row[1] for row in rows], "us").tolist() == [2000.0, 3000.0, 4000.0]


def test_bytes_that_are_no_text_beside_a_field() -> None:
    line = b'{"path":"/tmp/caf\xe9\\\\x.log","a_us":7}'.decode("utf-8", "backslashreplace")
    assert numeric_fields(line) == {"a_us": (7.0, "us")}
    assert LineReader(("a_us",)).rows([line]) == [(7,)]


def test_cells_that_are_no_numbers() -> None:
    cells = [1, "2", "3us", None, True, "x", [1], {"a": 1}, 10**400, "nan", "inf"]
    np.testing.assert_array_equal(to_ns(cells, "ms"), [1e6, 2e6, 3e3, NAN, NAN, NAN, NAN, NAN, math.inf, NAN, math.inf])
    assert to_numbers([1, "2.5"]).tolist() == [1.0, 2.5]


def test_a_line_of_ten_million_bytes() -> None:
    line = "x" * 10_000_000 + " a_us=5"
    assert LineReader(("a_us",)).rows([line, "[" * 1_000_000, '{"a":' * 100_000]) == [("5",)]
    assert numeric_fields(line) == {"a_us": (5.0, "us")}
    assert numeric_fields('{"a":' * 100_000) == {}


@given(st.text(max_size=300))
def test_no_text_hurts(line: str) -> None:
    for value, _ in numeric_fields(line).values():
        assert not math.isnan(value)
    LineReader(("a", "b_us")).rows([line, f'{{"{line}', f"\x1b[3{line}"])


_names = st.text("abcdefghij_", min_size=1, max_size=8).filter(lambda name: name not in ("fields", "span", "spans"))


@given(st.dictionaries(_names, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_text_and_json_give_the_same(values: dict[str, float]) -> None:
    text = "INFO it: done " + " ".join(f"{name}={value!r}" for name, value in values.items())
    nested = json.dumps({"level": "INFO", "fields": values})
    expected = {name: (value, unit_of(name)) for name, value in values.items()}
    assert numeric_fields(text) == numeric_fields(nested) == expected
    rows = LineReader(tuple(values)).rows([nested, text])
    assert [[float(cell) for cell in row] for row in rows] == [list(values.values())] * 2


_words = st.sampled_from(["a_us=1", "b_us=2", "c_us=3", "note", "d=4", "a_us", "xa_us=5", "b_us=", "\t", '"q"'])


@given(st.lists(st.lists(_words, max_size=6), max_size=60))
def test_however_fields_are_mixed_every_line_gives_its_own(lines: list[list[str]]) -> None:
    names = ("a_us", "b_us", "c_us")
    expected = []
    for words in lines:
        cells = {name: value for word in words for name, sign, value in [word.partition("=")] if sign}
        if any(name in cells for name in names):
            expected.append(tuple(cells.get(name) for name in names))
    rows = LineReader(names).rows([" ".join(words) for words in lines])
    once = [words for words in lines if len({word.partition("=")[0] for word in words}) == len(words)]
    if len(once) == len(lines):  # a field that stands twice in a line may be told twice
        assert sorted(map(repr, rows)) == sorted(map(repr, expected))
    assert len(rows) >= len(expected)


def test_hostile_repetition_takes_no_time() -> None:
    names = ("a_us", "b_us", "c_us")
    good = ["a_us=1 b_us=2 c_us=3"] * 40
    assert len(LineReader(names).rows([*good, "a_us=1 " * 50_000, "b_us=1 " * 50_000, "a_us=1 b_us=1 " * 50_000])) >= 43


def test_a_program_with_many_colours() -> None:
    lines = [f"\x1b[38;5;{n}ma_us\x1b[0m=\x1b[4;{n}m{n}\x1b[0m" for n in range(200)]
    reader = LineReader(("a_us",))
    for _ in range(2):
        assert [int(row[0]) for row in reader.rows(lines)] == list(range(200))


def test_the_sample_of_the_demo_is_complete() -> None:
    rows = LineReader(STAGES[:4]).rows(lines_of("demo.jsonl"))
    assert len(rows) == 599
    assert sum(row[2] is None for row in rows) == 7
