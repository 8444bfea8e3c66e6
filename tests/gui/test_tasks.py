"""Work in threads reports, can be cancelled, and never answers a question that has changed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from tailflame.errors import Cancelled, ParseError, TailflameError
from tailflame_gui import tasks
from tailflame_gui.tasks import Job, JobList, JobState, Latest, Progress


@pytest.fixture(autouse=True)
def workers_rest(qtbot: QtBot) -> Any:
    yield
    qtbot.waitUntil(lambda: tasks.busy_workers() == 0)


def test_a_spawned_task_is_kept_and_its_failure_told(qtbot: QtBot) -> None:
    told: list[TailflameError] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ParseError("broken.", source="x")

    tasks.spawn(fails(), name="reading x", on_error=told.append)
    qtbot.waitUntil(lambda: bool(told))
    assert isinstance(told[0], ParseError)


def test_an_unforeseen_failure_is_logged_and_phrased(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    told: list[TailflameError] = []

    async def fails() -> None:
        raise KeyError("surprise")

    with caplog.at_level("ERROR"):
        tasks.spawn(fails(), name="reading x", on_error=told.append)
        qtbot.waitUntil(lambda: bool(told))
    assert told[0].sentence == "An internal error stopped this: reading x."
    assert "KeyError: 'surprise'" in told[0].details
    assert "reading x" in caplog.text


def test_cancelling_is_no_failure(qtbot: QtBot) -> None:
    told: list[TailflameError] = []
    cancelled: list[bool] = []

    async def stops() -> None:
        raise Cancelled()

    tasks.spawn(stops(), name="x", on_error=told.append, on_cancel=lambda: cancelled.append(True))
    qtbot.waitUntil(lambda: bool(cancelled))
    assert told == []


def test_a_job_shows_the_progress_of_its_thread(qtbot: QtBot) -> None:
    jobs = JobList()
    half, go_on, results = threading.Event(), threading.Event(), []

    def work(progress: Progress) -> str:
        progress(0.5)
        half.set()
        assert go_on.wait(10)
        return threading.current_thread().name

    async def run() -> None:
        results.append(await tasks.run_job(jobs.start("Reading perf.data"), work))

    tasks.spawn(run(), name="run", on_error=pytest.fail)
    qtbot.waitUntil(half.is_set)
    (job,) = jobs.jobs
    assert (job.title, job.fraction, job.state) == ("Reading perf.data", 0.5, JobState.RUNNING)
    with qtbot.waitSignal(job.ended) as ended:
        go_on.set()
    assert ended.args == [job]
    assert job.state is JobState.DONE
    qtbot.waitUntil(lambda: bool(results))
    assert results[0].startswith("tailflame-worker")
    assert jobs.jobs == ()


def test_cancelling_a_job_frees_its_waiter_at_once(qtbot: QtBot) -> None:
    """Even where the thread itself is deaf for a while, and whatever it returns then."""
    jobs = JobList()
    started, go_on, ended = threading.Event(), threading.Event(), []

    def deaf(_progress: Progress) -> str:
        started.set()
        assert go_on.wait(10)
        return "too late"

    async def run() -> None:
        try:
            ended.append(await tasks.run_job(jobs.start("x"), deaf))
        except Cancelled:
            ended.append("cancelled")

    tasks.spawn(run(), name="run", on_error=pytest.fail)
    qtbot.waitUntil(started.is_set)
    jobs.jobs[0].cancel()
    qtbot.waitUntil(lambda: bool(ended))
    assert ended == ["cancelled"]
    assert jobs.jobs == ()
    go_on.set()


def test_progress_raises_in_the_thread_of_a_cancelled_job(qtbot: QtBot) -> None:
    jobs = JobList()
    started, stopped = threading.Event(), threading.Event()

    def work(progress: Progress) -> None:
        try:
            while True:
                progress(0.1)
                started.set()
        except Cancelled:
            stopped.set()
            raise

    async def run() -> None:
        await tasks.run_job(jobs.start("x"), work)

    tasks.spawn(run(), name="run", on_error=pytest.fail)
    qtbot.waitUntil(started.is_set)
    jobs.cancel_all()
    qtbot.waitUntil(stopped.is_set)


def test_a_failing_job_leaves_the_list(qtbot: QtBot) -> None:
    jobs, told, seen = JobList(), [], []

    def work(_progress: Progress) -> None:
        seen.append(jobs.jobs[0])
        raise ParseError("broken.", source="x")

    async def run() -> None:
        await tasks.run_job(jobs.start("x"), work)

    tasks.spawn(run(), name="run", on_error=told.append)
    qtbot.waitUntil(lambda: bool(told))
    assert jobs.jobs == ()
    assert seen[0].state is JobState.FAILED


def test_only_the_latest_question_is_answered(qtbot: QtBot) -> None:
    owner = QObject()
    latest = Latest(owner)
    answers: list[str] = []
    first_started, first_may_end = threading.Event(), threading.Event()

    def slow(_progress: Progress) -> str:
        first_started.set()
        assert first_may_end.wait(10)
        return "old"

    latest.ask(slow, answers.append, name="old", on_error=pytest.fail)
    qtbot.waitUntil(first_started.is_set)
    latest.ask(lambda _progress: "new", answers.append, name="new", on_error=pytest.fail)
    first_may_end.set()
    qtbot.waitUntil(lambda: bool(answers) and tasks.busy_workers() == 0)
    assert answers == ["new"]
    assert not latest.busy


def test_a_question_asked_again_at_once_never_reaches_a_thread(qtbot: QtBot) -> None:
    latest = Latest(owner := QObject())
    answers: list[str] = []

    def never(_progress: Progress) -> str:
        pytest.fail("a question that had changed was worked on")

    latest.ask(never, answers.append, name="old", on_error=pytest.fail)
    latest.ask(lambda _progress: "new", answers.append, name="new", on_error=pytest.fail)
    qtbot.waitUntil(tasks.at_rest)
    assert answers == ["new"]
    assert owner is not None


def test_an_answer_to_a_view_that_is_gone_is_dropped(qtbot: QtBot) -> None:
    import shiboken6

    owner = QObject()
    latest = Latest(owner)
    answers: list[str] = []
    started, may_end = threading.Event(), threading.Event()

    def slow(_progress: Progress) -> str:
        started.set()
        assert may_end.wait(10)
        return "late"

    latest.ask(slow, answers.append, name="x", on_error=pytest.fail)
    qtbot.waitUntil(started.is_set)
    shiboken6.delete(owner)
    may_end.set()
    qtbot.waitUntil(lambda: tasks.busy_workers() == 0)
    qtbot.waitUntil(lambda: not tasks._tasks)
    assert answers == []


def test_a_detail_is_told_once(qtbot: QtBot) -> None:
    job = Job("perf record")
    with qtbot.waitSignal(job.changed):
        job.say("48,210 samples")
    with qtbot.assertNotEmitted(job.changed):
        job.say("48,210 samples")
    job.end(JobState.DONE)
    with qtbot.assertNotEmitted(job.ended):
        job.end(JobState.FAILED)
