"""Names numbered by arrays: as a dictionary numbers them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.parse import token_table
from tailflame.parse.frames import Numbers
from tailflame.parse.token_table import PAD, TokenTable


def number(table: TokenTable, names: list[bytes]) -> list[int]:
    length = np.array([len(name) for name in names], np.int64)
    end = np.cumsum(length) + len(PAD)
    return table.number(PAD + b"".join(names) + PAD, end - length, end).tolist()


@given(st.lists(st.lists(st.binary(max_size=40) | st.binary(min_size=40, max_size=900), min_size=1), max_size=5))
def test_equal_names_have_equal_numbers(blocks: list[list[bytes]]) -> None:
    table, plain = TokenTable(), Numbers()
    for names in blocks:
        found = number(table, names)
        assert [list(table.names)[i] for i in found] == [n.decode(errors="backslashreplace") for n in names]
        for name in names:
            plain[name.decode(errors="backslashreplace")]
    assert len(table.names) == len(plain)


def test_what_stands_around_a_name_is_not_in_it() -> None:
    table = TokenTable()
    assert number(table, [b"a", b"b", b"a", b"", b"\0", b"\0\0", b"ba", b"", b"a\0"]) == [0, 1, 0, 2, 3, 4, 5, 2, 6]
    long = b"a name of more than a word"
    assert number(table, [b"x", long, b"y", long, b"z" + long]) == [7, 8, 9, 8, 10]


def test_a_length_makes_not_up_for_a_letter() -> None:
    """50 ^ 51 is "x" ^ "y"."""
    names = [f"{first}{'x' * length}".encode() for length in range(40, 60) for first in ("", "y", "z", "p", "q", "X")]
    for each in (names, names[::-1]):
        table = TokenTable()
        number(table, each)
        assert list(table.names) == list(dict.fromkeys(name.decode() for name in each))


def test_single_bits_make_other_names() -> None:
    """The highest bit of a word passes through a multiplication unchanged."""
    blank = bytes(40)
    names = [blank] + [
        bytes(a if at == i else b if at == j else 0 for at in range(40))
        for i in range(3, 40, 4)
        for j in range(i + 4, 40, 4)
        for a in (1, 128)
        for b in (0, 1, 128)
    ]
    table = TokenTable()
    number(table, names)
    assert len(table.names) == len(set(names))


def test_names_that_want_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of names in a table that is full beyond what it should be, so that most stand elsewhere."""
    monkeypatch.setattr(token_table, "_FULL", 0.9)
    table = TokenTable()
    names = [f"name {i}".encode() for i in range(40_000)]
    for first in range(0, 40_000, 7_000):
        assert number(table, names[first : first + 7_000]) == list(range(first, min(first + 7_000, 40_000)))
    assert number(table, names[::-1]) == list(range(39_999, -1, -1))


def test_a_text_may_know_the_numbers_already() -> None:
    table = TokenTable()
    assert table.names["second"] == 0
    assert number(table, [b"first", b"second"]) == [1, 0]
