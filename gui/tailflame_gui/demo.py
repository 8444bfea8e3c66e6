"""The demo: its target built and recorded in the window, or the sample session that ships with Tailflame."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from tailflame.cli.demo_target import LOGS, Build, demo_build, demo_plan, demo_project, obstacle, sample_session
from tailflame.errors import Cancelled, StoreError, TailflameError, ToolFailed
from tailflame.host.system import probe_host
from tailflame.run import Outcome
from tailflame.tools import PERF_RECORD, Target
from tailflame_gui import tasks
from tailflame_gui.controller import Controller
from tailflame_gui.recording import RecordController
from tailflame_gui.rows import Level, Notice
from tailflame_gui.tasks import Job, JobState

SECONDS = 8
SWITCHES = ("--mode", "benchmark", "--seconds", str(SECONDS), "--slow-path", "2000")
_WORDS_KEPT = 64 << 10


class Demo:
    def __init__(self, controller: Controller, recorder: RecordController) -> None:
        self._controller = controller
        self._recorder = recorder

    def open_sample(self, because: str = "") -> None:
        """The sample session, copied into the library where that can be done."""
        controller = self._controller
        sample = sample_session()

        async def adopt() -> None:
            try:
                info = await tasks.in_thread(lambda _progress: controller.library.adopt(sample))
                path = info.path
            except StoreError:
                path = sample  # it opens where it is
            if because:
                controller.state.notify(
                    Notice(Level.NOTE, f"This is the recorded sample session, because {because}.", key="demo")
                )
            controller.open_file(path)
            controller.refresh_library()

        controller.spawn(adopt(), "opening the sample session")

    def record(self) -> None:
        """Builds the demo target and records it; the sample session where that cannot be done, and says why."""
        tasks.spawn(self._record(), name="recording the demo", on_error=self._cannot)

    def _cannot(self, error: TailflameError) -> None:
        self.open_sample(because=str(error).rstrip("."))

    async def _record(self) -> None:
        project = demo_project()
        host = await tasks.in_thread(lambda _progress: probe_host())
        reason = obstacle(host)
        if reason or project is None:
            self.open_sample(because=reason)
            return
        build = await tasks.in_thread(lambda _progress: demo_build(project))
        if build.argv:
            await self._run(build, project)
        target = Target(binary=build.binary, args=SWITCHES)
        self._controller.choose_target(build.binary)
        self._recorder.start_plan(target, PERF_RECORD, lambda out: demo_plan(target, host, out), logs=LOGS)

    async def _run(self, build: Build, project: Path) -> None:
        """cargo, with its last line in the bottom line; a cancel ends it with all the compilers it has started."""
        journal = self._controller.journal
        entry = journal.started(build.argv, cwd=project)
        job = self._controller.jobs.start("Building the demo target")
        began = asyncio.get_running_loop().time()
        try:
            process = await asyncio.create_subprocess_exec(
                *build.argv,
                cwd=project,
                env=dict(build.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            job.end(JobState.FAILED)
            sentence = f"cargo could not be started: {error.strerror}."
            journal.ended(entry, None, problem=sentence)
            raise ToolFailed(sentence) from error

        def end_all() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

        job.on_cancel(end_all)
        try:
            words = await _follow(process, job)
            await process.wait()
        except BaseException:
            end_all()
            job.end(JobState.FAILED)
            raise
        seconds = asyncio.get_running_loop().time() - began
        journal.ended(entry, Outcome.of("cargo", process.returncode, seconds))
        if job.cancelled:
            job.end(JobState.CANCELLED)
            raise Cancelled
        if process.returncode:
            job.end(JobState.FAILED)
            raise ToolFailed("cargo could not build the demo target", details=words)
        job.end(JobState.DONE)


async def _follow(process: asyncio.subprocess.Process, job: Job) -> str:
    """Shows each line as it comes; returns the last ones."""
    assert process.stderr is not None
    words = b""
    while chunk := await process.stderr.read(4096):
        words = (words + chunk)[-_WORDS_KEPT:]
        lines = words.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        job.say(last[:80])
    return words.decode("utf-8", "replace")
