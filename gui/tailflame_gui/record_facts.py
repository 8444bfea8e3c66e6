"""From drafts to core's targets, options and plans, and from core's answers to what the record page shows.

Nothing here is a widget; what reads files or asks perf says so and is called in a thread.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tailflame import units
from tailflame.errors import TailflameError, TargetError, ToolFailed, ToolMissing
from tailflame.host import cargo
from tailflame.host.binary import BinaryFacts, Kind, binary_facts
from tailflame.host.processes import ProcessSample
from tailflame.host.system import Host
from tailflame.store import cargo_profile
from tailflame.store.files import absolute as as_absolute
from tailflame.tools import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    CallGraph,
    CargoKind,
    CargoOptions,
    Finding,
    PerfOptions,
    Plan,
    Target,
    Tool,
    ToolOptions,
    doctor,
    field_tool,
    preflight,
    tool_named,
)
from tailflame.tools import Level as Grade
from tailflame_gui.record_model import (
    Assessment,
    CargoChoice,
    CheckRow,
    Draft,
    Observation,
    ProjectChoice,
    RequestRow,
    RunHead,
    split,
)
from tailflame_gui.rows import Level
from tailflame_gui.tool_facts import form_fields

SESSION = "SESSION"
"""Stands for the folder of a session that does not exist yet."""
_LEVELS = {Grade.OK: Level.OK, Grade.NOTE: Level.NOTE, Grade.WARNING: Level.WARNING, Grade.BLOCKER: Level.ERROR}
_MOST_PATHS = 200


# Cargo projects and paths.


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A cargo project as core reads it, and as the page offers it."""

    choice: ProjectChoice
    target_folder: Path | None = None


def project_of(path: Path) -> Path | None:
    """The cargo project that a binary or a folder belongs to; looks at files."""
    return cargo.project_root(path)


def read_project(folder: Path) -> Project:
    """Asks cargo: some tenths of a second, in a thread. A failure is part of the answer."""
    try:
        known = cargo.read_project(folder)
    except (ToolMissing, ToolFailed) as problem:
        return Project(ProjectChoice(str(folder), problem=problem.sentence, fix=problem.advice))
    return Project(
        ProjectChoice(
            str(folder),
            tuple(CargoChoice(target.kind, target.name, target.package) for target in known.targets),
            _profiles(folder, known.target_folder.parent),
        ),
        known.target_folder,
    )


def _profiles(*folders: Path) -> tuple[str, ...]:
    """cargo's release profile, and those that the project makes itself (in its own or the workspace's manifest)."""
    names = ["release"]
    for folder in folders:
        try:
            manifest = tomllib.loads((folder / "Cargo.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # cargo has read it: it says what is wrong, where something is
        made = manifest.get("profile", {})
        names += [name for name in made if isinstance(made, dict) and name not in ("dev", "test", "bench")]
    return tuple(dict.fromkeys(names))


def paths_like(text: str) -> tuple[str, ...]:
    """Programs and folders whose path begins with `text`; reads one folder, in a thread."""
    if not text:
        return ()
    typed = Path(text).expanduser()
    folder, beginning = (typed, "") if text.endswith("/") else (typed.parent, typed.name)
    shown = text[: len(text) - len(beginning)]
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(beginning) or (entry.name.startswith(".") and not beginning):
                    continue
                if entry.is_dir():
                    found.append(f"{shown}{entry.name}/")
                elif os.access(entry.path, os.X_OK):
                    found.append(f"{shown}{entry.name}")
                if len(found) >= _MOST_PATHS:
                    break
    except OSError:
        return ()  # a folder that is not there, or not ours, completes nothing
    return tuple(sorted(found))


# From drafts to plans.


class Undecided(TailflameError):
    """Something is still missing or wrong in the form; `sentence` says what."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A draft as core takes it: `options` are those of `tool`."""

    target: Target
    tool: Tool[Any]
    options: PerfOptions | CargoOptions | ToolOptions

    def plan(self, out: Path) -> Plan:
        return self.tool.plan(self.target, self.options, out)


def wish_of(draft: Draft, host: Host, *, target_folder: Path | None = None) -> Wish:
    """Raises Undecided where the form is not complete. `target_folder` is where cargo builds the project."""
    asked = field_tool(draft.options.tool)
    if draft.in_project:
        if not draft.target.project:
            raise Undecided("Choose a cargo project.")
    elif draft.target.attach and draft.target.pid is None:
        raise Undecided("Choose a running program.")
    elif not draft.target.binary:
        raise Undecided("Choose a program.")
    _fits(draft)
    words = split(draft.target.arguments)
    if words.problem:
        raise Undecided(f"The arguments cannot be split yet: {words.problem}.")
    extra = split(draft.options.extra)
    if extra.problem:
        raise Undecided(f"The tool’s further arguments cannot be split yet: {extra.problem}.")
    if asked is None and not draft.options.events:
        raise Undecided("Choose an event.")
    target = _target(draft, words.words, target_folder)
    if asked is not None:
        shown = {one.name: one.taken(draft.options.values.get(one.name)) for one in form_fields(asked, host)}
        values = {**asked.defaults(host).values, **shown}
        options = ToolOptions(tool=asked.name, values=values, duration_s=draft.target.duration_s, extra=extra.words)
        return Wish(target, asked, options)
    return Wish(target, CARGO_FLAMEGRAPH if draft.in_project else PERF_RECORD, _options(draft, host, extra.words))


def _fits(draft: Draft) -> None:
    """Whether the tool can do what the target asks for: start a program, or look into a running one."""
    name = draft.options.tool
    try:
        title = tool_named(name).title
    except StopIteration:
        raise Undecided(f"There is no tool called “{name}” here. Choose another one.") from None
    asked = field_tool(name)
    if draft.target.attach and (asked is None or not asked.attaches):
        raise Undecided(f"{title} cannot look into a running program. Choose one to start.")
    if not draft.target.attach and asked is not None and not asked.launches:
        raise Undecided(f"{title} looks into running programs alone. Choose one that runs.")


def _target(draft: Draft, words: tuple[str, ...], target_folder: Path | None) -> Target:
    asked = draft.target
    if asked.attach:
        # What it was started with is told, and nothing of it is used: nothing is started.
        return Target(binary=Path(asked.binary), args=words, pid=asked.pid)
    return Target(
        binary=cargo_binary(draft, target_folder) if draft.in_project else program(asked.binary),
        args=words,
        cwd=absolute(asked.directory) if asked.directory else None,
        env=dict(asked.environment),
    )


def _options(draft: Draft, host: Host, extra: tuple[str, ...]) -> PerfOptions | CargoOptions:
    asked = draft.options
    events = tuple(_suffixed(name, host) for name in asked.events)
    try:
        call_graph = CallGraph(asked.call_graph)
    except ValueError as error:
        raise Undecided("Choose a call graph.") from error
    if not draft.in_project:
        return PerfOptions(
            call_graph=call_graph,
            frequency=asked.frequency,
            events=events,
            dwarf_stack=asked.dwarf_stack,
            large_buffer=host.uid == 0,
            off_cpu=asked.off_cpu,
            duration_s=draft.target.duration_s,
            extra=extra,
        )
    return CargoOptions(
        project=absolute(draft.target.project),
        kind=CargoKind(draft.target.cargo_kind),
        name=draft.target.cargo_name,
        package=draft.target.cargo_package,
        profile=asked.profile,
        features=tuple(word for word in asked.features.replace(",", " ").split() if word),
        frequency=asked.frequency,
        event=events[0],
        call_graph=call_graph,
        dwarf_stack=asked.dwarf_stack,
        duration_s=draft.target.duration_s,
        extra=extra,
    )


def _suffixed(name: str, host: Host) -> str:
    """`:u` where the kernel lets this user see nothing else: better said than done in silence."""
    return f"{name}:u" if host.user_only and ":" not in name and "/" not in name else name


def cargo_binary(draft: Draft, target_folder: Path | None) -> Path:
    """Where cargo will put it, without the hash that it gives to tests and benches."""
    profile = {"": "release", "bench": "release", "dev": "debug", "test": "debug"}.get(
        draft.options.profile, draft.options.profile
    )
    folder = (target_folder or absolute(draft.target.project) / "target") / profile
    inside = {"example": "examples", "test": "deps", "bench": "deps", "unit-test": "deps"}.get(draft.target.cargo_kind)
    name = draft.target.cargo_name or absolute(draft.target.project).name
    return folder / inside / name if inside else folder / name


def program(text: str) -> Path:
    """As a shell finds it: a name without a slash on PATH, where it is not a file of this folder."""
    found = shutil.which(text) if text and "/" not in text and not Path(text).exists() else None
    return absolute(found or text)


def absolute(text: str) -> Path:
    return Path(as_absolute(Path(text).expanduser()))


# What would happen.


def assess(draft: Draft, host: Host, root: Path, *, target_folder: Path | None = None) -> Assessment:
    """The checks, the facts and the exact command; reads the binary, so in a thread. `root` keeps the sessions."""
    facts, known = "", None
    if draft.target.binary and not draft.in_project:
        try:
            known = binary_facts(program(draft.target.binary))
            facts = facts_line(known)
        except TargetError:
            pass  # the preflight says it, with its fix
    try:
        wish = wish_of(draft, host, target_folder=target_folder)
    except Undecided as missing:
        checks = tuple(check_row(finding) for finding in _machine_checks(host))
        return Assessment(checks=checks, facts=facts, problem=missing.sentence)
    checks = tuple(check_row(finding) for finding in preflight(wish.target, wish.options, host, out=root))
    try:
        plan, to_copy = wish.plan(root / SESSION), wish.plan(Path()).command_line
    except TailflameError as wrong:  # what only the tool knows of its options
        return Assessment(checks=checks, facts=facts, problem=wrong.sentence)
    blockers = [check for check in checks if check.level is Level.ERROR]
    return Assessment(
        checks=checks,
        facts=facts,
        command_line=plan.command_line,
        to_copy=to_copy,
        note=_note(draft, root),
        problem=blockers[0].title if blockers else "",
    )


def refuse_blocked(wish: Wish, host: Host, root: Path) -> None:
    """Raises Undecided where the preflight knows that the recording fails or comes out empty; in a thread."""
    worst = next(iter(preflight(wish.target, wish.options, host, out=root)), None)
    if worst is not None and worst.level is Grade.BLOCKER:
        raise Undecided(f"{wish.tool.title} is left out: {worst.title}", advice=worst.fix)


def _machine_checks(host: Host) -> tuple[Finding, ...]:
    """What can be said before there is a program: the lines of the machine, without the tools that nobody asked for."""
    return tuple(finding for finding in doctor(host) if "is not installed" not in finding.title or host.perf is None)


def _note(draft: Draft, root: Path) -> str:
    ends = ""
    if draft.target.duration_s is not None:
        after = units.seconds(draft.target.duration_s)
        who = "The tool lets go" if draft.target.attach else "The program gets SIGTERM"
        ends = f" {who} after {after}."
    return f"{SESSION} is the folder that is made for it in {home_short(root)}.{ends}"


def home_short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) and path != home else str(path)


def facts_line(facts: BinaryFacts) -> str:
    """ "Rust, release-with-debug, frame pointers, debug information, 7.7 MB" """
    if facts.kind is Kind.SCRIPT:
        return f"a script for {facts.interpreter}"
    if facts.kind is not Kind.ELF:
        return ""
    words = [{"rust": "Rust", "c": "C", "c++": "C++"}.get(facts.language, "")]
    words.append(cargo_profile(facts.path) or ("debug build" if facts.debug_build else ""))
    if facts.frame_pointers:
        words.append("frame pointers")
    elif facts.frame_pointers is False:
        words.append("no frame pointers")
    words.append("debug information" if facts.has_debug_info else "symbols" if facts.has_symbols else "stripped")
    words.append(units.size(facts.size))
    return ", ".join(word for word in words if word)


def check_row(finding: Finding) -> CheckRow:
    return CheckRow(
        level=_LEVELS[finding.level],
        title=finding.title,
        detail=finding.detail,
        fix="" if finding.fix == shlex.join(finding.fix_argv) else finding.fix,
        command=shlex.join(finding.fix_argv),
    )


def run_head(plan: Plan, *, place: str = "") -> RunHead:
    """What the run's side says of a recording that begins; `place` is "2 of 4" in a queue."""
    return RunHead(
        f"{tool_named(plan.tool).title}: {plan.target.name}",
        plan.command_line,
        plan.duration_s,
        builds_first=plan.builds_first,
        samples=plan.samples_hz > 0 or "perf.data" in plan.artifacts,
        attached=plan.target.pid is not None,
        requests=tuple(RequestRow(one.name, one.title, one.tip) for one in plan.requests),
        place=place,
    )


# What is seen while it runs.


class Rates:
    """Makes rates of counts that only grow."""

    def __init__(self) -> None:
        self._before: ProcessSample | None = None

    def of(self, sample: ProcessSample) -> Observation:
        before, self._before = self._before, sample
        passed = sample.time_s - before.time_s if before is not None else 0.0

        def rate(name: str) -> float | None:
            now = getattr(sample, name)
            then = getattr(before, name) if before is not None else None
            return None if now is None or then is None or passed <= 0 else max(now - then, 0) / passed

        return Observation(
            time_s=sample.time_s,
            cpu_percent=sample.cpu_percent,
            rss=float(sample.rss),
            threads=float(sample.threads),
            voluntary=rate("voluntary"),
            involuntary=rate("involuntary"),
            minor_faults=rate("minor_faults"),
            major_faults=rate("major_faults"),
            read_bytes=rate("read_bytes"),
            write_bytes=rate("write_bytes"),
            io_permitted=sample.read_bytes is not None,
        )


class OwnCost:
    """What looking costs: the CPU time of this process and of the tools it has started, since the look before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._seen: dict[int, tuple[str, float]] = {}
        self._then: tuple[float, float, dict[int, float]] | None = None

    def look(self, now: float) -> str:
        """ "window 2.1%, perf 0.4% of a CPU"; "" the first time. In a thread: it reads /proc."""
        times = self._process.cpu_times()
        own = times.user + times.system
        tools: dict[int, tuple[str, float]] = {}
        for child in self._process.children():
            try:
                used = child.cpu_times()
                tools[child.pid] = (child.name(), used.user + used.system)
            except psutil.NoSuchProcess:
                continue
        then, self._then = self._then, (now, own, {pid: used for pid, (_name, used) in tools.items()})
        if then is None or now <= then[0]:
            return ""
        passed = now - then[0]
        parts = [f"window {units.percent((own - then[1]) / passed)}"]
        parts += [
            f"{name} {units.percent((used - then[2][pid]) / passed)}"
            for pid, (name, used) in tools.items()
            if pid in then[2]
        ]
        return ", ".join(parts)
