"""The console of what was run."""

from __future__ import annotations

from pathlib import Path

from tailflame.run import Entry, Journal, Outcome


def test_entries_keep_their_place_and_get_their_outcome() -> None:
    heard: list[Entry] = []
    journal = Journal(heard.append)
    first = journal.started(("perf", "record"), guard=("setpriv", "--"), cwd=Path("/a b"), env={"A": "1 2"})
    second = journal.started(("perf", "script"))
    ended = journal.ended(first, Outcome.of("perf record", 0, 2.0))
    assert [entry.number for entry in journal.entries] == [0, 1]
    assert journal.entries == (ended, second)
    assert journal.entries[0].outcome is not None
    assert journal.entries[1].outcome is None
    assert heard == [first, second, ended]
    assert first.command_line == "cd '/a b' && A='1 2' perf record"
    assert first.guard == ("setpriv", "--")
    assert first.started_at.tzinfo is not None


def test_what_could_not_be_started_keeps_the_reason() -> None:
    journal = Journal()
    journal.ended(journal.started(("nosuch",)), None, problem="nosuch is not installed.")
    assert journal.entries[0].problem == "nosuch is not installed."
