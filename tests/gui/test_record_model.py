"""The drafts of the record page: arguments split as a shell does, presets that survive any file, checks in order."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame_gui.record_model import (
    CARGO_FLAMEGRAPH,
    MAX_DURATION_S,
    MAX_FREQUENCY,
    MAX_STACK,
    Assessment,
    CheckRow,
    Draft,
    OptionsDraft,
    TargetDraft,
    Words,
    problem_of_variable,
    split,
)
from tailflame_gui.rows import Level


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("--mode benchmark --seconds 3", ("--mode", "benchmark", "--seconds", "3")),
        ('--title \'two words\' "and a \\" quote"', ("--title", "two words", 'and a " quote')),
        ("a\\ b ''", ("a b", "")),
        ("--filter=x#y # no comment", ("--filter=x#y", "#", "no", "comment")),
    ],
)
def test_arguments_are_split_as_a_shell_does(text: str, words: tuple[str, ...]) -> None:
    assert split(text) == Words(words)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--title 'open", "a quote is not closed"),
        ("ends in \\", "it ends in a backslash"),
        ("a\0b", "an argument cannot hold a NUL character"),
    ],
)
def test_what_cannot_be_split_says_why(text: str, problem: str) -> None:
    read = split(text)
    assert (read.problem, read.words) == (problem, ())


@pytest.mark.parametrize("text", ["a | b", "a > out", "a 2>&1", "a && b", "$HOME/x", '"$(date)"', "`date`"])
def test_what_only_a_shell_would_do_is_noted_and_passed_on(text: str) -> None:
    read = split(text)
    assert read.note.startswith("No shell reads this: “")
    assert read.words == tuple(shlex.split(text))


@pytest.mark.parametrize("text", ["'$HOME'", "\\$HOME", "a|b", "cost=5$"])
def test_what_a_shell_would_leave_alone_is_not_noted(text: str) -> None:
    assert split(text).note == ""


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_arguments_come_back_from_their_quoted_form(words: list[str]) -> None:
    assert split(shlex.join(words)).words == tuple(words)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("RUST_LOG", "info", ""),
        ("EMPTY", "", ""),
        ("", "info", "A variable needs a name."),
        ("A=B", "", "A name holds no “=”."),
        ("A", "x\0", "A value holds no NUL character."),
    ],
)
def test_variables(name: str, value: str, problem: str) -> None:
    assert problem_of_variable(name, value) == problem


DRAFT = Draft(
    TargetDraft(
        binary="/p/target/release/engine",
        arguments="--seconds 10 'a b'",
        directory="/p/run",
        environment=(("RUST_LOG", "info"), ("A", "")),
        duration_s=12.5,
        project="/p",
        cargo_kind="bench",
        cargo_name="book",
        cargo_package="engine",
    ),
    OptionsDraft(
        tool=CARGO_FLAMEGRAPH,
        call_graph="fp",
        frequency=4999,
        events=("cycles", "cache-misses"),
        dwarf_stack=16384,
        off_cpu=True,
        extra="--switch-events",
        profile="release-with-debug",
        features="jemalloc",
    ),
)


def test_a_draft_survives_the_settings_file() -> None:
    stored = json.loads(json.dumps(DRAFT.document()))
    assert Draft.from_document(stored, target=TargetDraft(binary=DRAFT.target.binary, project="/p")) == DRAFT


def test_a_draft_belongs_to_its_binary_or_its_project() -> None:
    assert (DRAFT.key, DRAFT.in_project) == ("/p", True)
    assert Draft(TargetDraft(binary="/b", project="/p")).key == "/b"


@given(
    st.dictionaries(
        st.sampled_from([*DRAFT.document(), "unheard of"]),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_whatever_stands_in_the_settings_file_makes_a_draft(document: dict[str, Any]) -> None:
    draft = Draft.from_document(document, target=TargetDraft(binary="/b"))
    assert draft.target.binary == "/b"
    assert 1 <= draft.options.frequency <= MAX_FREQUENCY
    assert 8 <= draft.options.dwarf_stack <= MAX_STACK
    assert draft.options.events
    assert draft.target.duration_s is None or 0 < draft.target.duration_s <= MAX_DURATION_S


def test_checks_are_shown_gravest_first_and_the_good_ones_apart() -> None:
    made = Assessment(
        checks=(
            CheckRow(Level.OK, "perf is there."),
            CheckRow(Level.NOTE, "stripped"),
            CheckRow(Level.ERROR, "no perf"),
            CheckRow(Level.WARNING, "debug build"),
        ),
        command_line="perf record",
    )
    assert [check.title for check in made.open] == ["no perf", "debug build", "stripped"]
    assert [check.title for check in made.passed] == ["perf is there."]
    assert made.ready
    assert not Assessment(command_line="perf", problem="no perf").ready
    assert not Assessment().ready
