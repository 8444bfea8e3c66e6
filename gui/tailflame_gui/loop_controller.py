"""Between the loop page and core: the project's plan, its measurements, their verdicts, and the one that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer

from tailflame.analyse.function_facts import HotspotFacts
from tailflame.analyse.verdict import Row
from tailflame.errors import StoreError, TailflameError
from tailflame.model import Caution
from tailflame.model.iteration import Iteration
from tailflame.model.metrics import Family
from tailflame.report import html, junit, markdown, measurement_json
from tailflame.run.hotspot import hotspot_facts
from tailflame.run.measure_events import Done, MeasureEvent, StepEnded, StepProgress, StepStarted, Told
from tailflame.run.more import MoreRepetitions
from tailflame.run.pipeline import Pipeline
from tailflame.run.plan_file import read_plan
from tailflame.run.plan_init import propose
from tailflame.store.bundle import SUFFIX, write_bundle
from tailflame.store.iterations import BASELINE, Iterations
from tailflame_gui import code_provider, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.loop_model import LOOKED, LoopView, RunningStep
from tailflame_gui.loop_reading import first_is_baseline, report_for, usual_project, view_of
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Job, JobState, Latest, Progress
from tailflame_gui.views.loop_page import LoopPage
from tailflame_gui.views.loop_steps import words_of
from tailflame_gui.views.source_view import SourceView

T = TypeVar("T")
Measurement = Pipeline | MoreRepetitions
_PACE_MS = 100
_WRITERS = {".html": html.write, ".md": markdown.write, ".json": measurement_json.write, ".xml": junit.write}
_STEP_OF = {
    Family.LATENCY: "latency",
    Family.COUNTERS: "counters",
    Family.CACHES: "caches",
    Family.HEAP: "heap",
    Family.SYSCALLS: "syscalls",
    Family.BENCHMARKS: "benches",
}
"""The step whose result shows a figure; a function has a page of its own."""


class LoopController(QObject):
    """Lives with its page. choose_folder(start, take), choose_target(suggested, take): ask the user where."""

    def __init__(
        self,
        page: LoopPage,
        controller: Controller,
        *,
        choose_folder: Callable[[Path, Callable[[Path], object]], object],
        choose_target: Callable[[Path, Callable[[Path], object]], object],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._controller = controller
        self._choose_folder = choose_folder
        self._choose_target = choose_target
        self._project: Path | None = None
        self._shown = ""
        self._known = False
        """Whether the page has been told of a plan, or that there is none."""
        self._pipeline: Measurement | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopping = False
        self._job: Job | None = None
        """How the measurement stands in the bottom line."""
        self._news: dict[tuple[str, int], RunningStep] = {}
        self._ticks: dict[tuple[str, str], bool] = {}
        """Not written yet, by measurement and point."""
        self._looking, self._knowing = Latest(self), Latest(self)
        self._wished: tuple[str, bool] | None = None
        """A measurement that begins once the plan is known: its note, and whether it goes on with another one."""
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(_PACE_MS)
        self._pace.timeout.connect(self._hand_on)
        page.shown.connect(self.look)
        page.project_wanted.connect(self._ask_project)
        page.plan_wanted.connect(self._write_plan)
        page.plan_opened.connect(self._open_plan)
        page.measure_requested.connect(self.measure)
        page.resume_requested.connect(partial(self.measure, "", resume=True))
        page.more_requested.connect(self.measure_more)
        page.stop_requested.connect(self.stop)
        page.chosen.connect(self.choose)
        page.baseline_requested.connect(self._make_baseline)
        page.report_wanted.connect(self._ask_report)
        page.bundle_wanted.connect(self._ask_bundle)
        page.opened.connect(self._open_session)
        page.opened_at.connect(self._open_at)
        page.figure_opened.connect(self._open_figure)
        page.hotspot_chosen.connect(self._show_hotspot)
        page.failed.connect(controller.fail)
        page.open_source.connect(self._open_source)
        page.source_view_made.connect(self._provide)
        page.ticked.connect(self._tick)

    @property
    def running(self) -> bool:
        return self._task is not None

    # What is known

    def look(self) -> None:
        """Reads the project's plan and measurements in a thread; an older question is dropped."""
        library, shown = self._controller.library, self._shown
        chosen, likely = self._project, self._header_project()

        def work(_progress: Progress) -> LoopView:
            return view_of(library, chosen or usual_project(library, likely), shown)

        self._looking.ask(work, self._looked, name="looking at the measurements", on_error=self._not_looked)

    def _header_project(self) -> Path | None:
        target = self._controller.state.target
        return Path(target.binary) if target is not None and target.binary else None

    def _looked(self, view: LoopView) -> None:
        self._known = True
        if view.project:
            self._project = Path(view.project)
        self._shown = view.shown.id if view.shown is not None else ""
        self._page.show_view(view)
        if self._wished is not None:
            (note, resume), self._wished = self._wished, None
            self.measure(note, resume=resume)

    def _not_looked(self, error: TailflameError) -> None:
        self._wished = None
        self._controller.fail(error)

    def choose(self, identity: str) -> None:
        """Shows another measurement."""
        self._shown = identity
        self.look()

    def choose_project(self, folder: Path) -> None:
        self._project = folder
        self._shown = ""
        self._page.leave_hotspot()
        self.look()

    def show_iteration(self, one: Iteration) -> None:
        """A measurement that may be of a project which is not on this machine."""
        self._project = Path(one.project)
        self._page.leave_hotspot()
        self.choose(one.id)

    def _ask_project(self) -> None:
        self._choose_folder(self._project or Path.home(), self.choose_project)

    # The plan

    def _write_plan(self) -> None:
        folder = self._project
        if folder is None:
            return

        def work(_progress: Progress) -> Path:
            path, text = propose(folder)
            if path.exists():
                raise StoreError(f"{path} is there already.", advice="Edit it instead.")
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
            return path

        def written(path: Path) -> None:
            self._controller.say(f"{path} is written. Look through it, then measure.")
            self.look()

        self._write(work, written, "writing a plan")

    def _open_plan(self) -> None:
        if self._page.view.plan:
            self._controller.open_source(None, self._page.view.plan, 1)

    # A measurement

    def measure(self, note: str, *, resume: bool = False) -> None:
        """Runs the plan; one at a time. What is asked before the page knows the plan waits until it does."""
        path = self._page.view.plan
        if self.running:
            return
        if self._looking.busy or not self._known:
            self._wished = (note, resume)
            if not self._looking.busy:
                self.look()
            return
        if not path:
            return
        library, journal = self._controller.library, self._controller.journal

        def begin(_progress: Progress) -> Pipeline:
            return Pipeline(read_plan(Path(path)), library, note=note, resume=resume, journal=journal)

        self._start(Path(path).parent.name, begin)

    def measure_more(self, identity: str, number: int) -> None:
        """More repetitions of a measurement and of the baseline."""
        library, journal = self._controller.library, self._controller.journal

        def begin(_progress: Progress) -> MoreRepetitions:
            one = Iterations(library.root).get(identity)
            return MoreRepetitions(one, library, number=number, journal=journal)

        if not self.running:
            self._start(self._project.name if self._project is not None else identity, begin)

    def settle(self) -> None:
        """As many more as the verdict that is shown asks for."""
        view = self._page.view
        if view.shown is not None and view.more:
            self.measure_more(view.shown.id, view.more)
        else:
            self._controller.say("No verdict that is shown asks for more repetitions.")

    def _start(self, name: str, begin: Callable[[Progress], Measurement]) -> None:
        if self._controller.state.recording:
            self._controller.fail(StoreError("A recording is running.", advice="Wait for it, or stop it first."))
            return
        self._page.begin()
        self._job = self._controller.jobs.start(f"Measuring {name}", stop=self.stop, cancellable=False)
        self._stopping = False
        self._task = tasks.spawn(self._measure(begin), name="measuring", on_error=self._failed, on_cancel=self._over)

    async def _measure(self, begin: Callable[[Progress], Measurement]) -> None:
        library = self._controller.library
        self._pipeline = pipeline = await tasks.in_thread(begin)
        if self._stopping:  # before its plan was read
            pipeline.stop()
        done: Done | None = None
        async with aclosing(pipeline.events()) as events:
            async for event in events:
                if isinstance(event, Done):
                    done = event
                self._take(event)
        if done is not None:
            await tasks.in_thread(lambda _progress: first_is_baseline(library, done.iteration))
            self._shown = done.iteration.id
            said = done.verdict.sentence if done.verdict is not None else "It is measured."
            if not done.iteration.is_finished:
                said = "It was cut short; Go on measures what is missing."
            self._controller.say(f"Measurement {done.iteration.number}: {said}")
        self._over()

    def _take(self, event: MeasureEvent) -> None:
        match event:
            case StepStarted() | StepEnded():
                self._news[event.step.name, event.step.repetition] = RunningStep(event.step)
            case StepProgress():
                running = RunningStep(event.step, event.stage, event.elapsed_s)
                self._news[event.step.name, event.step.repetition] = running
            case Told():
                self._page.tell(Caution(event.text, event.fix))
        if not self._pace.isActive():
            self._pace.start()

    def _hand_on(self) -> None:
        news, self._news = self._news, {}
        if self._page.running:
            self._page.show_steps(tuple(news.values()))
        if self._job is not None and news:
            self._job.say(words_of(list(news.values())[-1]))

    def stop(self) -> None:
        """Ends it after the step that runs; what was measured is kept."""
        self._stopping = True
        if self._pipeline is not None:
            self._pipeline.stop()

    async def close(self) -> None:
        """At the end of the program: a measurement is stopped and kept."""
        if self._task is not None:
            self.stop()
            await asyncio.gather(self._task, return_exceptions=True)

    def _failed(self, error: TailflameError) -> None:
        begun = self._pipeline.iteration if self._pipeline is not None else None
        if begun is not None:
            self._shown = begun.id  # its steps say what failed
        self._controller.fail(error)
        self._over(measured=False)

    def _over(self, *, measured: bool = True) -> None:
        self._hand_on()
        self._pipeline = self._task = None
        if self._job is not None:
            self._job.end(JobState.DONE if measured else JobState.FAILED)
            self._job = None
        self._page.end(measured=measured)
        self._controller.refresh_library()
        self.look()

    # What is done with one

    def _write(self, work: Callable[[Progress], T], done: Callable[[T], None], name: str) -> None:
        """In a thread; unlike a question, it is carried out even where another one follows."""

        async def run() -> None:
            done(await tasks.in_thread(work))

        self._controller.spawn(run(), name)

    def _make_baseline(self, identity: str) -> None:
        root = self._controller.library.root

        def work(_progress: Progress) -> Iteration:
            iterations = Iterations(root)
            one = iterations.get(identity)
            iterations.name_baseline(BASELINE, one)
            return one

        def said(one: Iteration) -> None:
            self._controller.say(f"Measurement {one.number} is the baseline now.")
            self.look()

        self._write(work, said, "naming the baseline")

    def _tick(self, key: str, on: bool) -> None:
        """One writes at a time: each reads what the one before has written."""
        if not self._shown:
            return
        idle = not self._ticks
        self._ticks[self._shown, key] = on
        if idle:
            self._controller.spawn(self._write_ticks(self._controller.library.root), "ticking")

    async def _write_ticks(self, root: Path) -> None:
        def work(identity: str, key: str, on: bool, _progress: Progress) -> None:
            iterations = Iterations(root)
            one = iterations.get(identity)
            others = tuple(name for name in one.checked if name != key)
            iterations.save(replace(one, checked=(*others, key) if on else others))

        try:
            while self._ticks:
                (identity, key), on = next(iter(self._ticks.items()))
                await tasks.in_thread(partial(work, identity, key, on))
                if self._ticks.get((identity, key)) is on:
                    del self._ticks[identity, key]
        finally:
            self._ticks.clear()
            self.look()

    def _looked_into(self, one: Iteration) -> None:
        """What opening its CPU profile shows of the checklist."""
        if LOOKED not in one.checked and one.id == self._shown:
            self._tick(LOOKED, True)

    def _ask_report(self, identity: str) -> None:
        name = f"{self._project.name if self._project else 'measurement'}-{identity}.html"
        self._choose_target(Path.home() / name, partial(self._write_report, identity))

    def _write_report(self, identity: str, path: Path) -> None:
        library = self._controller.library

        def work(_progress: Progress) -> Path:
            write = _WRITERS.get(path.suffix.lower())
            if write is None:
                raise StoreError(f"{path} has none of the endings {', '.join(_WRITERS)}.")
            write(report_for(library, Iterations(library.root).get(identity)), path)
            return path

        self._make_file(f"Writing {path.name}", work)

    def _ask_bundle(self, identity: str) -> None:
        self._choose_target(Path.home() / f"measurement-{identity}{SUFFIX}", partial(self._write_bundle, identity))

    def _write_bundle(self, identity: str, path: Path) -> None:
        library = self._controller.library

        def work(progress: Progress) -> Path:
            one = Iterations(library.root).get(identity)
            sessions = [library.session(step.session) for step in one.steps if step.session and not step.problem]
            write_bundle(path, library, sessions=sessions, iterations=[one], progress=progress)
            return path

        self._make_file(f"Packing {path.name}", work)

    def _make_file(self, title: str, work: Callable[[Progress], Path]) -> None:
        """With progress in the bottom line; to cancel it leaves no file."""
        job = self._controller.jobs.start(title)

        async def run() -> None:
            self._controller.say(f"{await tasks.run_job(job, work)} is written.")

        self._controller.spawn(run(), title)

    # What is opened

    def _open_session(self, identity: str) -> OpenResult | None:
        """None where there is none to open; that is told."""
        shown = self._page.view.shown
        if shown is not None and any(step.session == identity and step.name == "cpu" for step in shown.steps):
            self._looked_into(shown)
        library, state = self._controller.library, self._controller.state
        row = next((row for row in state.sessions if row.id == identity), None)
        if row is not None:
            self._controller.open_session(row)
        elif (library.root / identity).is_dir():
            self._controller.open_paths([library.root / identity])
        else:
            self._controller.warn("This result is not in the library any more.", "Measure again to have it.")
            return None
        state.set_page(Page.RESULTS)
        return state.result

    def _open_at(self, identity: str, function: str) -> None:
        tab = self._open_session(identity)
        if tab is not None:
            tab.selection.select(function)

    def _open_figure(self, figure: Row) -> None:
        """A function's page, or the result that another figure is from."""
        if figure.family is Family.CPU:
            self._show_hotspot(figure.key)
            return
        name, shown = _STEP_OF[figure.family], self._page.view.shown
        session = (
            next((step.session for step in shown.steps if step.name == name and step.session), "") if shown else ""
        )
        if session:
            self._open_session(session)
        else:
            self._controller.warn(f"This measurement has no result of the step “{name}”.")

    def _show_hotspot(self, function: str) -> None:
        """Its page; the recordings are read in a thread."""
        library, view = self._controller.library, self._page.view
        one = next((one for one in view.iterations if one.id == self._shown), view.shown)
        if one is None:
            return
        self._page.show_hotspot(function)
        self._looked_into(one)

        def work(progress: Progress) -> HotspotFacts:
            return hotspot_facts(library, one, function, history=view.iterations, progress=progress)

        self._knowing.ask(work, self._page.show_hotspot, name=f"looking at {function}", on_error=self._controller.fail)

    def _hotspot_tab(self) -> OpenResult | None:
        """As if the CPU profile were open: it knows where its sources are."""
        facts = self._page.hotspot.facts
        if facts is None or facts.cpu is None:
            return None
        identity = facts.sessions.get("cpu", "")
        row = next((row for row in self._controller.state.sessions if row.id == identity), None)
        tab = OpenResult(facts.function, path=self._controller.library.root / identity, session=row)
        tab.ready(facts.cpu, title=facts.function, session=row)
        return tab

    def _provide(self, view: SourceView) -> None:
        tab = self._hotspot_tab()
        if tab is not None:
            code_provider.attach(view, tab, self._controller, self._page.window())

    def _open_source(self, file: str, line: int) -> None:
        self._controller.open_source(self._hotspot_tab(), file, line)
