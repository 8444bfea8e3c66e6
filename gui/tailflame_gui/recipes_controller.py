"""Between the probes page and core: which recipes work here, what would run, the run itself, and its session."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from tailflame.errors import StoreError, TailflameError, TargetError
from tailflame.host.functions import functions_of
from tailflame.host.running import process_of
from tailflame.live.bpftrace_own import digest, why_not
from tailflame.live.permission import Permission
from tailflame.model import Recording
from tailflame.parse.bpftrace_bundled import recipe_named, recipes
from tailflame.parse.bpftrace_recipe import Recipe
from tailflame.report import svg
from tailflame.run.bpftrace_run import ProbeBegan, ProbeEnded, ProbeRun, ProbeSeen, ProbeWish, attached_target
from tailflame.run.bpftrace_session import kept, new_session
from tailflame.store import SessionFolder
from tailflame.tools import Target, command_line
from tailflame.tools.bpftrace import given_values, impossible
from tailflame.tools.bpftrace_words import mistakes
from tailflame_gui import adapt, tasks
from tailflame_gui.controller import Controller
from tailflame_gui.recipes_model import DURATION, OWN, Composed, How, Marked, RecipeRow, RecipesDraft
from tailflame_gui.record_model import FieldKind, FieldValue, FormField, split
from tailflame_gui.rows import SessionRow
from tailflame_gui.state import Page
from tailflame_gui.tasks import JobState, Latest, Progress
from tailflame_gui.views.recipes_page import RecipesPage

_COMPOSE_MS = 150
_LONGEST = 256 << 10
_DURATION = FormField(
    name=DURATION,
    title="Ends after",
    tip="How long it looks; 0 is until you stop it, or the program ends.",
    kind=FieldKind.NUMBER,
    default=0.0,
    high=86_400,
    unit="s",
)


class RecipesController(QObject):
    """Lives with its page."""

    def __init__(self, page: RecipesPage, controller: Controller) -> None:
        super().__init__(page)
        self._page = page
        self._controller = controller
        self._permission = Permission()
        self._run: ProbeRun | None = None
        self._task: asyncio.Task[Any] | None = None
        self._wish: ProbeWish | None = None
        self._composing, self._listing, self._filing = Latest(self), Latest(self), Latest(self)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_COMPOSE_MS)
        self._later.timeout.connect(self._compose)
        page.shown.connect(self.look)
        page.changed.connect(self._changed)
        page.start_requested.connect(self.start)
        page.stop_requested.connect(self.stop)
        page.live_requested.connect(lambda: controller.state.set_page(Page.LIVE))
        page.opened.connect(self._open)
        page.saved.connect(self._save)

    @property
    def running(self) -> bool:
        return self._task is not None

    def look(self) -> None:
        """Which recipes there are, and which cannot work on this kernel; looked up once."""
        if self._page.recipe is None:
            self._listing.ask(
                lambda _progress: gallery(), self._page.show_recipes, name="the recipes",
                on_error=self._controller.fail,
            )  # fmt: skip

    # What would run

    def _changed(self) -> None:
        self._wish = None
        self._page.start.setEnabled(False)
        self._later.start()

    def _compose(self) -> None:
        draft, recipe = self._page.draft(), self._page.recipe

        def work(_progress: Progress) -> tuple[ProbeWish | None, Composed]:
            return composed(draft, recipe)

        self._composing.ask(work, self._composed, name="composing the program", on_error=self._controller.fail)

    def _composed(self, answer: tuple[ProbeWish | None, Composed]) -> None:
        self._wish, what = answer
        self._page.show_composed(what)
        asked = self._page.is_own and os.geteuid() != 0
        self._page.show_digest(digest(what.program) if asked and what.program else "")

    # Running

    def start(self) -> None:
        if self.running:
            self._controller.fail(StoreError("A probe runs already.", advice="Stop it first."))
            return
        wish = self._wish
        if wish is None:
            return
        self._page.show_marks(())
        self._permission.ask_again()
        self._task = tasks.spawn(self._look(wish), name="the probe", on_error=self._failed, on_cancel=self._over)

    def stop(self) -> None:
        """Ends it politely; what was seen is kept."""
        if self._run is not None:
            self._page.show_stopping()
            self._run.stop()

    async def close(self) -> None:
        """At the end of the program: ends the run, and waits until it is kept."""
        if self._task is not None:
            self.stop()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._permission.close()

    async def _look(self, wish: ProbeWish) -> None:
        library = self._controller.library
        session = await tasks.in_thread(lambda _progress: new_session(library, wish))
        what = wish.recipe.title if wish.recipe is not None else "own program"
        run = self._run = ProbeRun(wish, session.path, start_recipe=self._permission.recipe)
        job = self._controller.jobs.start(f"probe {what}", stop=self.stop, cancellable=False)
        job.on_cancel(self.stop)
        self._page.show_begun(f"{what}: {wish.target.name}" if wish.target is not None else what)
        ended: ProbeEnded | None = None
        try:
            async for update in run.updates():
                match update:
                    case ProbeBegan():
                        self._page.show_seen(self._page.maps.maps, 0.0)
                    case ProbeSeen():
                        self._page.show_seen(update.maps, update.elapsed_s)
                    case ProbeEnded():
                        ended = update
        except BaseException:
            job.end(JobState.FAILED)
            await tasks.in_thread(lambda _progress: library.discard(session))
            raise
        job.end(JobState.DONE)
        self._run = None
        self._page.show_setup()
        try:
            if ended is not None:
                await self._keep(session, wish, ended)
        finally:
            self._over()

    async def _keep(self, session: SessionFolder, wish: ProbeWish, ended: ProbeEnded) -> None:
        library = self._controller.library

        def read(progress: Progress) -> tuple[Recording, SessionRow]:
            recording = kept(session, wish, ended, draw=svg.write, progress=progress)
            return recording, adapt.session_row(library.session(session.id))

        job = self._controller.jobs.start(f"Reading {session.id}")
        try:
            recording, shown = await tasks.run_job(job, read)
        finally:
            self._controller.refresh_library()
        self._controller.show_recording(session.path, recording, shown)

    def _failed(self, error: TailflameError) -> None:
        self._over()
        if self._page.is_own:
            self._page.show_marks(
                tuple(Marked(one.line, one.first, one.last, one.text, one.fatal) for one in mistakes(error.details))
            )
        self._controller.refresh_library()
        self._controller.fail(error)

    def _over(self) -> None:
        self._run = self._task = None
        self._page.show_setup()

    # Programs of one's own

    def _open(self, path: Path) -> None:
        def read(_progress: Progress) -> str:
            return _text(path)

        self._filing.ask(
            read, lambda text: self._page.show_text(text, path=path), name=f"reading {path.name}",
            on_error=self._controller.fail,
        )  # fmt: skip

    def _save(self, path: Path) -> None:
        text = self._page.draft().text

        def write(_progress: Progress) -> None:
            try:
                path.write_text(text, encoding="utf-8")
            except OSError as problem:
                raise StoreError(f"{path} cannot be written: {problem.strerror}.") from problem

        self._filing.ask(
            write, lambda _done: self._page.show_text(text, path=path), name=f"writing {path.name}",
            on_error=self._controller.fail,
        )  # fmt: skip


def gallery() -> tuple[RecipeRow, ...]:
    """The recipes as rows; looks at the kernel, so in a thread."""
    return tuple(recipe_row(recipe) for recipe in recipes())


def recipe_row(recipe: Recipe) -> RecipeRow:
    kinds = {"number": FieldKind.WHOLE, "choice": FieldKind.CHOICE}
    fields: list[FormField] = []
    for one in recipe.parameters:
        default: FieldValue = int(one.default) if one.kind == "number" else one.default
        tip = one.tip
        if one.kind == "symbol":
            tip = f"{tip} A readable name will do."
        if one.kind == "file":
            tip = f"{tip} Empty: {'the C library' if recipe.name == 'malloc' else 'the program itself'}."
        fields.append(
            FormField(
                name=one.name, title=one.title, tip=tip, kind=kinds.get(one.kind, FieldKind.TEXT), default=default,
                choices=tuple((word, word) for word in one.words), low=one.low, high=one.high, unit=one.unit,
            )
        )  # fmt: skip
    by_kind = {one.kind: one.name for one in recipe.parameters}
    return RecipeRow(
        name=recipe.name,
        title=recipe.title,
        question=recipe.question,
        cost=recipe.cost,
        note=recipe.note,
        impossible=impossible(recipe),
        instead=recipe.instead,
        fields=(*fields, _DURATION),
        symbol=by_kind.get("symbol", ""),
        file=by_kind.get("file", ""),
    )


def composed(draft: RecipesDraft, row: RecipeRow | None) -> tuple[ProbeWish | None, Composed]:
    """What would run, and what speaks against it; reads the program's functions, so in a thread."""
    target, problem = _target(draft)
    if row is None or draft.recipe == OWN:
        return _own(draft, target, problem)
    recipe = recipe_named(draft.recipe)
    assert recipe is not None
    if row.impossible:
        return None, Composed(problem=f"“{recipe.title}” cannot work here: {row.impossible}.")
    if target is None:
        return None, Composed(problem=problem or "Choose the program to look at.")
    values: dict[str, object] = {name: value for name, value in draft.values.items() if name != DURATION}
    found = ""
    try:
        if row.symbol:
            found = _resolve(recipe, row, values, target)
        wish = ProbeWish(target=target, recipe=recipe, values=values, duration_s=_duration(draft))
        program, command = wish.program(), wish.command_line()
    except TailflameError as refused:
        return None, Composed(problem=refused.sentence, found=found)
    notes = [recipe.note] if recipe.machine_wide and recipe.note else []
    if os.geteuid() != 0:
        if draft.how is How.LAUNCH:
            problem = "bpftrace starts programs as root alone: start yours, and attach to it."
        elif recipe.machine_wide:
            problem = "It sees the whole machine: that is for root alone, or as a program of your own."
        else:
            notes.append("The installed helper runs it: you are asked for the password once.")
    shown = Composed(
        program=program, command_line=command, command=_short(wish), problem=problem, notes=tuple(notes), found=found
    )
    return (None if problem else wish), shown


def _own(draft: RecipesDraft, target: Target | None, problem: str) -> tuple[ProbeWish | None, Composed]:
    text = draft.text
    notes: tuple[str, ...] = ()
    if not text.strip():
        problem = "Write a program first."
    elif len(text.encode()) > _LONGEST:
        problem = "The program is too long."
    elif os.geteuid() != 0:
        problem = problem or (f"It cannot be run: {why_not()}." if why_not() else "")
        notes = ("An administrator is asked for the password each time.",)
        if draft.how is How.LAUNCH:
            problem = "bpftrace starts programs as root alone: start yours, and attach to it."
    if draft.how is not How.NONE and target is None and not problem:
        problem = "Choose the program to look at, or Neither."
    wish = ProbeWish(target=target if draft.how is not How.NONE else None, text=text)
    command, short = (wish.command_line(), _short(wish)) if text.strip() else ("", "")
    return (None if problem else wish), Composed(
        program=text, command_line=command, command=short, problem=problem, notes=notes
    )


def _short(wish: ProbeWish) -> str:
    """The command without its text, which stands above it."""
    argv = wish.argv()
    at = argv.index("-e") + 1
    return " ".join((command_line(argv[:at]), "'…'", *argv[at + 1 :]))


def _target(draft: RecipesDraft) -> tuple[Target | None, str]:
    """The program, or why it is none."""
    if draft.how is How.NONE:
        return None, ""
    if draft.how is How.ATTACH:
        process = process_of(draft.pid) if draft.pid else None
        if process is None:
            return None, "Choose a running program." if not draft.pid else f"{draft.process} has ended."
        if not process.attachable:
            return None, f"{process.name} cannot be attached to: {process.reason}."
        return attached_target(process), ""
    if not draft.binary:
        return None, "Choose the program to start."
    words = split(draft.arguments)
    if words.problem:
        return None, f"The arguments cannot be read: {words.problem}."
    binary = Path(draft.binary).expanduser()
    if not binary.is_file() or not os.access(binary, os.X_OK):
        return None, f"{draft.binary} is no program."
    folder = Path(draft.directory).expanduser() if draft.directory else None
    if folder is not None and not folder.is_dir():
        return None, f"{draft.directory} is no folder."
    return Target(binary=binary.absolute(), args=words.words, cwd=folder), ""


def _resolve(recipe: Recipe, row: RecipeRow, values: dict[str, object], target: Target) -> str:
    """Puts the symbol in the place of a readable name; what it found, in words. Raises TargetError."""
    given = given_values(recipe, values, target.binary)
    typed = str(given.get(row.symbol) or "").strip()
    if not typed:
        raise TargetError("Name the function.")
    file = Path(str(given.get(row.file) or target.binary))
    table = functions_of(file)
    found = table.match(typed)
    symbols = {one.symbol: one.name for one in found}
    if not symbols:
        raise TargetError(f"There is no function {typed} in {file.name}: it may be inlined everywhere.")
    if len(symbols) > 1 and typed not in symbols:
        names = ", ".join(sorted(set(symbols.values()))[:4])
        raise TargetError(f"“{typed}” is the name of several functions: {names}.")
    symbol = typed if typed in symbols else next(iter(symbols))
    values[row.symbol] = symbol
    return symbols[symbol] if symbols[symbol] != typed else ""


def _duration(draft: RecipesDraft) -> float | None:
    value = draft.values.get(DURATION, 0.0)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > _LONGEST:
            raise StoreError(f"{path} is longer than a program is.")
        return data.decode()
    except OSError as problem:
        raise StoreError(f"{path} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise StoreError(f"{path} is no text.") from problem
