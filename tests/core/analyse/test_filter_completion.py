"""What is offered while a filter is being written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse.filter_completion import Completer, help_text
from tailflame.analyse.filter_language import What

PROFILE = profile("worker one: main@/opt/engine;match 3\nlogger: main@/opt/engine;write@/lib/libc.so.6 1")


@pytest.mark.parametrize(
    ("text", "replaced", "options"),
    [
        ("", "", [f"{what}:" for what in What]),
        ("t", "t", ["thread:", "tid:", "time:"]),
        ("-fun", "fun", ["function:"]),
        ("function:", "", ["main", "match", "write"]),
        ("function:main,wr", "wr", ["write"]),
        ("thread:o", "o", ["logger", '"worker one"']),  # a space would end the word
        ("module:", "", ["engine", "libc.so.6"]),
        ("cpu:", "", []),
        ("nothing:x", "", []),
    ],
)
def test_what_can_follow(text: str, replaced: str, options: list[str]) -> None:
    made = Completer(PROFILE).complete(text, len(text))
    assert text[made.start : made.end] == replaced
    assert sorted(made.options) == sorted(options)


@given(st.text(max_size=30), st.integers(-3, 40))
def test_any_text_has_a_place_in_it(text: str, cursor: int) -> None:
    made = Completer(PROFILE).complete(text, cursor)
    assert 0 <= made.start <= made.end <= len(text)


def test_the_help_tells_of_everything() -> None:
    assert all(f"{what}:…" in help_text() for what in What)
