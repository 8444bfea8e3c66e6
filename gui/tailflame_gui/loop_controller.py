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
from tailflame.analyse.verdict import Decision, Row, Verdict
from tailflame.errors import StoreError, TailflameError
from tailflame.host.cargo import project_root
from tailflame.model import Caution
from tailflame.model.iteration import Iteration, StepState
from tailflame.model.metrics import Family
from tailflame.report import html, junit, markdown, measurement_json
from tailflame.report.measurement import MeasurementReport
from tailflame.run.hotspot import hotspot_facts
from tailflame.run.pipeline import Done, Pipeline, PipelineEvent, StepEnded, StepProgress, StepStarted, Told
from tailflame.run.plan_file import find_plan, read_plan
from tailflame.run.plan_init import propose
from tailflame.run.reporting import hottest, report_of
from tailflame.store import Library
from tailflame.store.bundle import SUFFIX, write_bundle
from tailflame.store.iterations import BASELINE, Iterations
from tailflame_gui import code_provider, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.loop_model import POINTS, LoopView, Point, RunningStep
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.tasks import Job, JobState, Latest, Progress
from tailflame_gui.views.loop_page import LoopPage
from tailflame_gui.views.loop_steps import words_of
from tailflame_gui.views.source_view import SourceView

T = TypeVar("T")
_PACE_MS = 100
_WRITERS = {".html": html.write, ".md": markdown.write, ".json": measurement_json.write, ".xml": junit.write}
_ENOUGH = 5
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
        self._pipeline: Pipeline | None = None
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
            return view_of(library, chosen or _usual_project(library, likely), shown)

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
        if self._controller.state.recording:
            self._controller.fail(StoreError("A recording is running.", advice="Wait for it, or stop it first."))
            return
        self._page.begin()
        self._job = self._controller.jobs.start(
            f"Measuring {Path(path).parent.name}", stop=self.stop, cancellable=False
        )
        self._stopping = False
        self._task = tasks.spawn(
            self._measure(Path(path), note, resume),
            name="measuring",
            on_error=self._failed,
            on_cancel=self._over,
        )

    async def _measure(self, path: Path, note: str, resume: bool) -> None:
        library, journal = self._controller.library, self._controller.journal
        plan = await tasks.in_thread(lambda _progress: read_plan(path))
        self._pipeline = pipeline = Pipeline(plan, library, note=note, resume=resume, journal=journal)
        if self._stopping:  # before its plan was read
            pipeline.stop()
        done: Done | None = None
        async with aclosing(pipeline.events()) as events:
            async for event in events:
                if isinstance(event, Done):
                    done = event
                self._take(event)
        if done is not None:
            await tasks.in_thread(lambda _progress: _first_is_baseline(library, done.iteration))
            self._shown = done.iteration.id
            said = done.verdict.sentence if done.verdict is not None else "It is measured."
            self._controller.say(f"Measurement {done.iteration.number}: {said}")
        self._over()

    def _take(self, event: PipelineEvent) -> None:
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

    def _ask_report(self, identity: str) -> None:
        name = f"{self._project.name if self._project else 'measurement'}-{identity}.html"
        self._choose_target(Path.home() / name, partial(self._write_report, identity))

    def _write_report(self, identity: str, path: Path) -> None:
        library = self._controller.library

        def work(_progress: Progress) -> Path:
            write = _WRITERS.get(path.suffix.lower())
            if write is None:
                raise StoreError(f"{path} has none of the endings {', '.join(_WRITERS)}.")
            write(_report(library, Iterations(library.root).get(identity)), path)
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


def view_of(library: Library, start: Path | None, shown: str) -> LoopView:
    """Everything the page shows; reads the recordings of two measurements, so in a thread."""
    if start is None:
        return LoopView()
    iterations = Iterations(library.root)
    everywhere = iterations.all()
    path, project = _plan_of(start, frozenset(one.project for one in everywhere))
    if project is None:
        folder = start if start.is_dir() else start.parent
        return LoopView(problem=f"{folder} belongs to no cargo project.", fix="Choose the project's folder.")
    every = tuple(one for one in everywhere if one.project == str(project))
    current = next((one for one in every if one.id == shown), every[0] if every else None)
    held = _held_against(iterations, current, str(project))
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    hotspots: tuple[tuple[str, float], ...] = ()
    if current is not None:
        other = held if held is not None and held.id != current.id else None
        report = report_of(library, current, other)
        verdict, notes = report.verdict, report.notes
        hotspots = hottest(report.after.recordings)
    return LoopView(
        project=str(project),
        plan=str(path) if path is not None else "",
        iterations=every,
        baseline=held.id if held is not None else "",
        shown=current,
        verdict=verdict,
        hotspots=hotspots,
        points=_points(current, held, verdict),
        notes=notes,
    )


def _usual_project(library: Library, likely: Path | None) -> Path | None:
    """Where none was chosen: that of the program which is looked at, else the one that was measured last."""
    every = Iterations(library.root).all()
    if likely is not None and _plan_of(likely, frozenset(one.project for one in every))[1] is not None:
        return likely
    return Path(every[0].project) if every else likely


def _plan_of(start: Path, measured: frozenset[str]) -> tuple[Path | None, Path | None]:
    """The plan, and the project's folder. measured: projects that have measurements, which need not be here."""
    if str(start) in measured and not start.is_dir():
        return None, start
    folder = start if start.is_dir() else start.parent
    path = find_plan(folder)
    if path is not None:
        return path, path.parent
    root = project_root(start)
    return None, root if root is not None else folder if str(folder) in measured else None


def _held_against(iterations: Iterations, current: Iteration | None, project: str) -> Iteration | None:
    """The project's baseline; where it has none, what the measurement was held against when it was made."""
    baseline = iterations.baseline(BASELINE, project=project)
    if baseline is not None and baseline.project == project:
        return baseline
    if current is None or not current.baseline:
        return None
    try:
        return iterations.get(current.baseline)
    except StoreError:
        return None


def _report(library: Library, one: Iteration) -> MeasurementReport:
    held = _held_against(Iterations(library.root), one, one.project)
    return report_of(library, one, held if held is not None and held.id != one.id else None)


def _first_is_baseline(library: Library, one: Iteration) -> None:
    """In a thread. The first whole measurement of a project is what later ones are held against."""
    iterations = Iterations(library.root)
    held = iterations.baseline(BASELINE, project=one.project)
    if one.is_finished and (held is None or held.project != one.project):
        iterations.name_baseline(BASELINE, one)


def _points(one: Iteration | None, baseline: Iteration | None, verdict: Verdict | None) -> tuple[Point, ...]:
    """The checklists, with what shows each point to be done."""
    evidence: dict[str, str] = {}
    if baseline is not None:
        evidence["baseline"] = f"Measurement {baseline.number} is the baseline."
    if one is not None:
        evidence |= _of_steps(one)
        if one.commit and not one.dirty:
            evidence["committed"] = f"Commit {one.commit[:9]}."
    if verdict is not None:
        if verdict.decision is not Decision.UNDECIDED:
            evidence["verdict"] = verdict.sentence
        if verdict.decision is Decision.KEEP:
            evidence["gain"] = verdict.sentence
        if not verdict.worse and verdict.decision is not Decision.UNDECIDED:
            evidence["worse"] = "No figure got worse beyond what runs differ by."
    ticked = one.checked if one is not None else ()
    return tuple(
        Point(key=key, when=when, text=text, evidence=evidence.get(key, ""), by_hand=by_hand, ticked=key in ticked)
        for key, when, text, by_hand in POINTS
    )


def _of_steps(one: Iteration) -> dict[str, str]:
    done: dict[str, int] = {}
    for step in one.steps:
        if step.state is StepState.DONE:
            done[step.name] = done.get(step.name, 0) + 1
    evidence = {
        key: f"Measured {done[step]} {'time' if done[step] == 1 else 'times'}."
        for key, step in (("cpu", "cpu"), ("caches", "caches"), ("heap", "heap"), ("latency", "latency"))
        if done.get(step)
    }
    if max(done.get("cpu", 0), done.get("latency", 0)) >= _ENOUGH:
        evidence["samples"] = f"{max(done.get('cpu', 0), done.get('latency', 0))} repetitions."
    if any(done.get(name) for name in ("cpu", "counters", "latency")):
        evidence["release"] = "A debug build is not measured."
    if done.get("test"):
        evidence["tests"] = "They passed before it was measured."
    return evidence
