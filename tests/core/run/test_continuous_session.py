"""Slices that were kept beside a live run, or alone: read as one result, whoever finished them."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.stacks import profile
from tailflame.analyse.slices import Slice, within
from tailflame.errors import ParseError, StoreError
from tailflame.model.live import Reading
from tailflame.report.live_log import LiveLogWriter
from tailflame.run import continuous_session
from tailflame.run.live_events import LiveFinished
from tailflame.run.live_session import CONTINUOUS, LOG, TOOL, keep, load_raw
from tailflame.store import Library, SessionFolder, open_session
from tailflame.store.slice_store import INDEX, SlicesHead, SliceStore

TEXT = "main;a 10\nmain;b 5"


def sliced(folder: Path, count: int) -> SliceStore:
    store = SliceStore(folder)
    store.begin(SlicesHead(epoch_s=1_700_000_000.0, pid=7, slice_s=1.0))
    for n in range(1, count + 1):
        start = 1000.0 + n
        store.add(Slice(start, 1.0, within(profile(TEXT), start, 1.0), f"perf.data.{n}", n, n))
    return store


@pytest.fixture
def live(tmp_path: Path) -> SessionFolder:
    """A live run of some seconds, with slices beside it, as it stands on the disk."""
    session = Library(tmp_path).new_session(tool=TOOL, binary="/opt/book")
    session.planned(argv=(), artifacts={LOG: session.path / LOG}, primary=LOG)
    with LiveLogWriter(session.path / LOG, pid=7, argv=("book",), launched=False, clock=(1000.0, 1.7e9)) as log:
        for at in range(5):
            log.write(Reading(series="CPU", start_s=1000.0 + at, length_s=1.0, value=50.0, unit="%"))
    sliced(session.path / CONTINUOUS, 3)
    return session


def test_a_live_run_is_kept_with_its_slices(live: SessionFolder) -> None:
    artifacts = {"slices": live.path / CONTINUOUS / INDEX}
    recording = keep(live, LiveFinished(None, 5.0, artifacts))
    assert recording.live is not None and recording.slices is not None
    assert recording.slice_profile is recording.profile
    assert recording.profile is not None and recording.profile.total() == 45
    assert live.load().slices is not None


def test_one_that_nobody_finished_is_read_with_its_slices(live: SessionFolder, tmp_path: Path) -> None:
    live.update(owner=None)
    opened = open_session(Library(tmp_path).session(live.id), load=load_raw)
    assert opened.recovered
    assert opened.recording.slices is not None and len(opened.recording.slices.rows) == 3


def test_slices_alone_are_enough_of_a_live_run(live: SessionFolder) -> None:
    (live.path / LOG).write_text("")
    recording = keep(live, LiveFinished(None, 5.0, {"slices": live.path / CONTINUOUS / INDEX}))
    assert recording.slices is not None and recording.live is None


def test_without_a_slice_there_is_nothing_to_keep(tmp_path: Path) -> None:
    session = Library(tmp_path).new_session(tool=continuous_session.TOOL)
    store = sliced(session.path, 0)
    with pytest.raises(StoreError, match="Nothing was recorded"):
        continuous_session.keep(session, store)
    with pytest.raises(ParseError, match="holds no slice"):
        continuous_session.load_slices(session.path / INDEX)


def test_merged_slices_are_told_of_the_result(tmp_path: Path) -> None:
    session = Library(tmp_path).new_session(tool=continuous_session.TOOL)
    store = sliced(session.path, 20)
    store.coarsen(budget=1 << 30, most=10)
    recording = continuous_session.keep(session, store, outcome="over")
    assert any("10 slices were merged" in caution.text for caution in recording.warnings)
    assert recording.profile is not None and recording.profile.total() == 300
    assert not (session.path / "slices").exists()
