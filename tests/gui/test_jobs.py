"""The bottom line says what runs, how to stop it, and what looking costs."""

from __future__ import annotations

import re

import psutil
import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from tailflame_gui.tasks import JobList, JobState
from tailflame_gui.views.job_bar import JobBar


@pytest.fixture
def jobs() -> JobList:
    return JobList()


@pytest.fixture
def bar(jobs: JobList, qtbot: QtBot) -> JobBar:
    made = JobBar(jobs)
    qtbot.addWidget(made)
    made.resize(1200, 32)
    made.show()
    return made


def test_nothing_runs(bar: JobBar) -> None:
    assert bar.text == "Nothing runs"
    assert bar._idle.isVisible()


def test_a_job_is_shown_with_its_progress_and_leaves(jobs: JobList, bar: JobBar, qtbot: QtBot) -> None:
    job = jobs.start("Reading perf.data")
    assert bar.text == "Reading perf.data"
    line = bar._lines[0]
    assert not line._bar.isVisible(), "where the end cannot be told there is no bar"
    job.token.progress(0.42)
    qtbot.waitUntil(lambda: line._percent.text() == "42%")
    assert (line._bar.value(), line._bar.isVisible()) == (420, True)
    job.end(JobState.DONE)
    assert bar.text == "Nothing runs"


def test_stop_and_cancel_are_different_buttons(jobs: JobList, bar: JobBar) -> None:
    stopped: list[bool] = []
    job = jobs.start("perf record", stop=lambda: stopped.append(True))
    job.say("recording   12.3 s   48,210 samples   3.1 MB")
    found = {made.text(): made for made in bar._lines[0].findChildren(QPushButton)}
    assert set(found) == {"Stop", "Cancel"}
    assert bar.text == "perf record recording   12.3 s   48,210 samples   3.1 MB"
    found["Stop"].click()
    assert (stopped, job.cancelled) == ([True], False)
    found["Cancel"].click()
    assert job.cancelled
    job.end(JobState.CANCELLED)


def test_more_jobs_than_fit_are_counted(jobs: JobList, bar: JobBar) -> None:
    made = [jobs.start(f"job {n}") for n in range(4)]
    assert bar.text == "job 0; job 1"
    assert bar._more.text() == "and 2 more"
    made[0].end(JobState.DONE)
    assert bar.text == "job 1; job 2"
    for job in made:
        job.end(JobState.DONE)
    assert bar._more.text() == ""


def test_our_own_cost_is_measured(bar: JobBar) -> None:
    bar._process.cpu_percent(None)
    sum(n * n for n in range(300_000))
    bar._show_cost()
    shown = re.fullmatch(r"our own cost: ([\d.]+)% CPU, ([\d.]+).(\w+)", bar._cost.text())
    assert shown is not None
    assert float(shown[1]) > 1, "the sum above has just been counted"
    rss = psutil.Process().memory_info().rss
    assert abs(float(shown[2]) * {"MB": 1e6, "GB": 1e9}[shown[3]] - rss) < 0.2 * rss


def test_hidden_it_costs_nothing(bar: JobBar) -> None:
    assert bar._timer.isActive()
    bar.hide()
    assert not bar._timer.isActive()
