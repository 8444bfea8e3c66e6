"""The turns of the loop, and named baselines of them: one JSON file each in the profiles folder.

    PROFILES/iterations/ID.json    an Iteration; its sessions lie beside those of single recordings
    PROFILES/iterations/.ID.lock   held by whoever measures it
    PROFILES/baselines.json        names of baselines, and the iterations that they stand for: "/PROJECT/NAME" in each
                                   project, "NAME" for the one that was named last

A file is replaced whole, so that a crash at any moment leaves the one before or the one after.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tailflame.errors import StoreError, StoreVersionError
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.store.files import Fields, locked, read_json, reason, write_json
from tailflame.store.upgrade import BASELINES, ITERATION

BASELINE = "baseline"
"""The name of the baseline that is meant where none is named."""
_FOLDER = "iterations"
_NAMES = "baselines.json"
_PROGRAMS_KEPT = 5
"""Of each project."""
_MOST = 10**9
"""Of measurements, and of repetitions: a number beyond was not counted."""
_GREATEST = 2.0**64
"""No counter and no clock reads more, and a figure that takes three hundred digits is none."""
_LATEST = re.compile(r"latest(~\d+)?")
_MEND = (
    "Until you mend it no baseline is known; naming one anew keeps the damaged file under another name: "
    "tailflame verdict --name baseline"
)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
"""So far may two machines' clocks be apart."""


class Iterations:
    """The iterations of one profiles folder. Every call reads the disk: others may write as well."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = root / _FOLDER

    def create(self, *, project: Path, binary: Path, **known: Any) -> Iteration:
        """A new one, kept from this moment on. known: further fields of Iteration."""
        now = datetime.now(UTC).astimezone()
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder):
            every = self.all()
            last = max((one.number for one in every if one.project == str(project)), default=0)
            number = min(1 + last, _MOST)
            stem = now.strftime("%Y%m%d-%H%M%S")
            taken = {one.id for one in every}
            identity = next(name for n in range(len(taken) + 2) if (name := f"{stem}-{n}" if n else stem) not in taken)
            made = Iteration(
                id=identity, number=number, project=str(project), binary=str(binary), started_at=now, **known
            )
            self.save(made)
        return made

    def save(self, iteration: Iteration) -> None:
        """StoreError where it cannot be written; what was there before is then still there."""
        write_json(self._folder / f"{iteration.id}.json", _document(iteration))

    @contextmanager
    def claimed(self, iteration: Iteration) -> Iterator[None]:
        """While it is measured: StoreError where another Tailflame measures it. A kill lets go of it as well."""
        path = self._folder / f".{iteration.id}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {reason(error)}.", advice="Check its permissions.") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"Measurement {iteration.number} is being made by another Tailflame.", advice="Wait for its end."
                ) from None
            except OSError:  # a file system that knows no such locks
                pass
            yield
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def adopt(self, iteration: Iteration, sessions: Mapping[str, str]) -> Iteration:
        """A measurement from elsewhere, whose sessions have the ids that `sessions` says now; the one that is here
        already, if it is.
        """
        path = self._folder / f"{iteration.id}.json"
        if path.is_file():
            return read_iteration(path)
        steps = tuple(replace(step, session=sessions.get(step.session, "")) for step in iteration.steps)
        # What a plan from elsewhere names is never run here.
        adopted = replace(iteration, steps=steps, program="", plan="")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.save(adopted)
        return adopted

    def holds(self, identity: str) -> bool:
        """Whether there is one of this id, sound or not."""
        return (self._folder / f"{identity}.json").exists()

    def discard(self, iteration: Iteration) -> None:
        """Takes one away for good; its sessions stay. Nothing where it is gone already."""
        (self._folder / f"{iteration.id}.json").unlink(missing_ok=True)

    def all(self) -> tuple[Iteration, ...]:
        """Newest first. What cannot be read is left out: one damaged file hides no other."""
        found = []
        for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
            try:
                found.append(read_iteration(path))
            except StoreError:
                continue
        return tuple(sorted(found, key=lambda one: (one.started_at, one.id), reverse=True))

    def get(self, identity: str, *, project: str = "") -> Iteration:
        """By its id, or by the name of a baseline (of `project` first), or "latest", "latest~1" (of `project`, if that
        is given). StoreError where there is none.
        """
        if _LATEST.fullmatch(identity):
            back = identity.partition("~")[2] or "0"
            # One that measured nothing, because the tests failed, is none that is compared.
            every = [one for one in self.all() if one.measured and project in ("", one.project)]
            if len(back) < 10 and int(back) < len(every):
                return every[int(back)]
            raise StoreError("There are not so many measurements yet.", advice="`tailflame run` makes one.")
        names = self._names()
        named = names.get(f"{project}/{identity}") or names.get(identity, identity)
        path = self._folder / f"{named}.json"
        if "/" in named or not path.is_file():
            raise StoreError(
                f"There is no measurement called “{identity}”.", advice="`tailflame verdict --list` names them."
            )
        return read_iteration(path)

    def baselines(self) -> dict[str, list[str]]:
        """Names by the ids of the iterations that they stand for, in their own project or as the ones named last."""
        found: dict[str, list[str]] = {}
        for key, identity in self._names().items():
            name = _bare(key)
            if name not in found.setdefault(identity, []):
                found[identity].append(name)
        return found

    def programs_wanted(self) -> frozenset[str]:
        """The programs of named baselines, and of the newest measurements of each project: others are not compared with
        any more, and a program takes tens of megabytes.
        """
        named, seen, wanted = self.baselines(), dict[str, int](), set[str]()
        unknown = self.problem() is not None  # which are named: then any may be
        for one in self.all():
            seen[one.project] = seen.get(one.project, 0) + 1
            if one.program and (unknown or one.id in named or seen[one.project] <= _PROGRAMS_KEPT):
                wanted.add(one.program)
        return frozenset(wanted)

    def baseline(self, name: str = BASELINE, *, project: str = "") -> Iteration | None:
        """That of `project`; where it has none of this name, the one that was named so last, in whatever project. None
        where there is none, or its iteration is gone.
        """
        names = self._names()
        for key in (f"{project}/{name}", name):
            path = self._folder / f"{names.get(key, '')}.json"
            if path.is_file():
                return read_iteration(path)
        return None

    def name_baseline(self, name: str, iteration: Iteration) -> None:
        """`name` stands for `iteration` from now on, in its project. StoreError for a name that is none.

        Where the names are damaged they are written anew, and the damaged file is kept under another name; one of a
        newer Tailflame is not written to.
        """
        _insist_on_a_name(name)
        self.root.mkdir(parents=True, exist_ok=True)
        with locked(self.root):
            self._set_aside()
            self._write_names({**self._names(), name: iteration.id, f"{iteration.project}/{name}": iteration.id})

    def forget_baseline(self, name: str) -> tuple[str, ...]:
        """`name` stands for nothing any more, in no project; the ids of the measurements that it stood for, which stay.
        StoreError where it stood for none.
        """
        return self._rename(name, None)

    def rename_baseline(self, name: str, new: str) -> tuple[str, ...]:
        """What `name` stands for in each project is called `new`; the ids. StoreError where `name` stands for nothing,
        or `new` is no name or stands for something already: nothing is hidden by the way.
        """
        _insist_on_a_name(new)
        return self._rename(name, new)

    def _rename(self, name: str, new: str | None) -> tuple[str, ...]:
        if not self.root.is_dir():
            raise _no_baseline(name)
        with locked(self.root):
            names = self._names()
            if new is not None and any(_bare(key) == new for key in names):
                raise StoreError(
                    f"“{new}” is the name of a baseline already.",
                    advice=f"Forget that one first: tailflame verdict --forget {shlex.quote(new)}",
                )
            found = {key: identity for key, identity in names.items() if _bare(key) == name}
            if not found:
                raise _no_baseline(name)
            changed = {key: identity for key, identity in names.items() if key not in found}
            if new is not None:
                changed |= {key.removesuffix(name) + new: identity for key, identity in found.items()}
            self._write_names(changed)
        return tuple(dict.fromkeys(found.values()))

    def problem(self) -> StoreError | None:
        """Why nobody knows which baselines are named, and what to do; None where that is known. Everything goes on then
        as if none was.
        """
        try:
            self._read_names()
        except StoreError as error:
            error.advice = error.advice or (_MEND if _is_damage(error) else "Check its permissions.")
            return error
        return None

    def _set_aside(self) -> None:
        """Moves damaged names out of the way. StoreError where they may be sound: of a newer Tailflame, or closed."""
        problem = self.problem()
        if problem is None:
            return
        if not _is_damage(problem):
            raise problem
        path = self.root / _NAMES
        try:
            path.rename(path.with_name(f"baselines.damaged-{datetime.now():%Y%m%d_%H%M%S}.json"))
        except OSError as error:
            raise StoreError(f"{path} cannot be moved: {reason(error)}.", advice="Check its permissions.") from error

    def _write_names(self, names: Mapping[str, str]) -> None:
        document = {"format": "tailflame baselines", "version": BASELINES.version, "baselines": dict(names)}
        write_json(self.root / _NAMES, document)

    def _names(self) -> dict[str, str]:
        try:
            return self._read_names()
        except StoreError:
            return {}

    def _read_names(self) -> dict[str, str]:
        path = self.root / _NAMES
        return BASELINES.upgraded(read_json(path)).mapping("baselines") if path.exists() else {}


def _bare(key: str) -> str:
    """A name without its project."""
    return key.rpartition("/")[2]


def _no_baseline(name: str) -> StoreError:
    return StoreError(f"There is no baseline called “{name}”.", advice="`tailflame verdict --list` names them.")


def _insist_on_a_name(name: str) -> None:
    if _LATEST.fullmatch(name):
        raise StoreError(
            f"“{name}” always means a measurement by its age, so it is no name for a baseline.",
            advice="Only “latest” and “latest~N” are taken: “latest-good” is free, for example.",
        )
    if not name or "/" in name or name.startswith(".") or name != name.strip() or not name.isprintable():
        raise StoreError(
            f"“{name}” is no name for a baseline.",
            advice="One has no slash and no control characters in it, and neither a dot nor a space before it.",
        )


def _is_damage(error: StoreError) -> bool:
    """Whether the file's content is to blame: one of a newer Tailflame, or one that is closed to us, may be sound."""
    return not isinstance(error, StoreVersionError) and not isinstance(error.__cause__, OSError)


def interrupted(iteration: Iteration) -> Iteration:
    """The same with steps that were running told as cut short: whoever ran them is gone."""
    steps = tuple(
        replace(step, state=StepState.FAILED, problem="It was cut short.", fix="`tailflame run --resume` goes on.")
        if step.state is StepState.RUNNING
        else step
        for step in iteration.steps
    )
    return replace(iteration, steps=steps)


_TEXTS = (
    "goal",
    "commit",
    "branch",
    "note",
    "baseline",
    "decision",
    "sentence",
    "goal_unit",
    "program",
    "plan",
    "state",
)


def _document(one: Iteration) -> dict[str, Any]:
    return {
        "format": "tailflame iteration",
        "version": ITERATION.version,
        "id": one.id,
        "number": one.number,
        "project": one.project,
        "binary": one.binary,
        "started_at": one.started_at.isoformat(),
        "finished_at": one.finished_at.isoformat() if one.finished_at else None,
        "wanted": one.wanted,
        "fixed_work": one.fixed_work,
        "dirty": one.dirty,
        "environment": dict(one.environment),
        "steps": [
            {
                "name": step.name,
                "tool": step.tool,
                "repetition": step.repetition,
                "repetitions": step.repetitions,
                "state": step.state.value,
                "session": step.session,
                "problem": step.problem,
                "fix": step.fix,
                "seconds": step.seconds,
            }
            for step in one.steps
        ],
        "goal_values": list(one.goal_values),
        "checked": list(one.checked),
        **{name: getattr(one, name) for name in _TEXTS},
    }


def read_iteration(path: Path) -> Iteration:
    """One file. It may be from anywhere: StoreError for values that no measurement has, which would spoil the order and
    the numbers of all others.
    """
    fields = ITERATION.upgraded(read_json(path))
    return Iteration(
        id=path.stem,
        number=fields.within("number", 1, _MOST),
        project=fields.text("project"),
        binary=fields.text("binary"),
        started_at=_start(fields),
        finished_at=fields.zoned("finished_at"),
        wanted=fields.number("wanted") or 0.0,
        fixed_work=fields.flag("fixed_work", False),
        dirty=fields.flag("dirty", False),
        environment=fields.mapping("environment"),
        steps=tuple(_steps(fields.parts("steps"))),
        goal_values=fields.amounts("goal_values", _GREATEST),
        checked=fields.texts("checked"),
        **{name: fields.text(name, "") for name in _TEXTS},
    )


def _start(fields: Fields) -> datetime:
    started = fields.zoned("started_at")
    if started is None or started < _EARLIEST:
        raise fields.wrong("started_at", "a time from 1970 on")
    insist_on_the_past(started, fields.what)
    return started


def insist_on_the_past(measured_at: datetime, what: str) -> None:
    """StoreError where `what` is ahead by more than clocks may be apart: it would be the latest for years."""
    if measured_at > datetime.now(UTC) + _AHEAD:
        raise StoreError(
            f"{what} says that it was measured on {measured_at:%Y-%m-%d}, which is yet to come.",
            advice="Check the clock of the machine that measured it, and of this one.",
        )


def _seconds(part: Fields) -> float:
    taken = part.number("seconds") or 0.0
    if not 0 <= taken <= _GREATEST:
        raise part.wrong("seconds", "how long it took")
    return taken


def _steps(parts: Iterable[Fields]) -> Iterable[Step]:
    for part in parts:
        state = part.text("state")
        if state not in set(StepState):
            raise part.wrong("state", "a known state")
        yield Step(
            name=part.text("name"),
            tool=part.text("tool", ""),
            repetition=part.within("repetition", 0, _MOST, 0),
            repetitions=part.within("repetitions", 0, _MOST, 0),
            state=StepState(state),
            session=part.text("session", ""),
            problem=part.text("problem", ""),
            fix=part.text("fix", ""),
            seconds=_seconds(part),
        )
