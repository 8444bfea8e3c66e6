"""What can follow in a filter that is being written: the things a sample has, then the names this profile has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tailflame.analyse.filter_language import MEANINGS, NAMES, Name, What, tokens
from tailflame.analyse.names import module_label, plain
from tailflame.analyse.sample_filter import process_names
from tailflame.model.stacks import StackProfile

_MOST = 12


@dataclass(frozen=True, slots=True)
class Completion:
    """`options` may each take the place of the text from `start` to `end`."""

    start: int
    end: int
    options: tuple[str, ...]


class Completer:
    """Completes filters of one profile; its names are gathered when they are first asked for."""

    def __init__(self, profile: StackProfile) -> None:
        self._profile = profile
        self._names: dict[What, list[str]] = {}

    def complete(self, text: str, cursor: int) -> Completion:
        """What can stand where the cursor is."""
        cursor = min(max(cursor, 0), len(text))
        token = next((t for t in tokens(text) if t.start <= cursor <= t.end), None)
        if token is None:
            return Completion(cursor, cursor, tuple(f"{what}:" for what in What))
        before = text[token.start : cursor]
        if token.key is None or cursor < token.value_at:
            start = token.start + (len(before) - len(before.lstrip("-")))
            typed = text[start:cursor].casefold()
            found = [f"{what}:" for what in What if what.startswith(typed)]
            end = token.value_at if token.key is not None else token.end
            return Completion(start, end, tuple(found))
        try:
            what = What(token.key.casefold())
        except ValueError:
            return Completion(cursor, cursor, ())
        start = max(token.value_at, token.start + before.rfind(",") + 1)
        end = min((at for at in (text.find(",", cursor, token.end),) if at >= 0), default=token.end)
        typed = text[start:cursor].strip('"').casefold()
        names = self.names(what)
        first = [name for name in names if name.casefold().startswith(typed)]
        later = [name for name in names if typed in name.casefold() and not name.casefold().startswith(typed)]
        found = [str(Name(name, exact=False)) for name in [*first, *later][:_MOST]]
        return Completion(start, end, tuple(name for name in found if name != text[start:end]))

    def names(self, what: What) -> list[str]:
        """The names or numbers of the profile, the most frequent first."""
        if what not in self._names:
            self._names[what] = self._gathered(what)
        return self._names[what]

    def _gathered(self, what: What) -> list[str]:
        profile = self._profile
        frames, threads = profile.frames, profile.threads
        match what:
            case What.FUNCTION:
                used = np.bincount(frames.name, minlength=len(frames.strings)) if len(frames) else np.zeros(0)
                return list(
                    dict.fromkeys(plain(frames.strings[i]) for i in np.argsort(-used, kind="stable") if used[i])
                )
            case What.MODULE:
                seen = Counter(frames.module[frames.module >= 0].tolist())
                return list(dict.fromkeys(module_label(frames.strings[i]) for i, _n in seen.most_common()))
            case What.EVENT:
                return [event.name for event in profile.events]
            case What.THREAD:
                return [name for name, _n in Counter(thread.name for thread in threads).most_common()]
            case What.PROCESS:
                return list(dict.fromkeys(process_names(profile).values()))
            case What.TID:
                return [str(thread.tid) for thread in threads if thread.tid >= 0]
            case What.PID:
                return list(dict.fromkeys(str(thread.pid) for thread in threads if thread.pid >= 0))
            case What.CPU:
                return [str(cpu) for cpu in np.unique(profile.samples.cpu).tolist() if cpu >= 0]
            case What.TIME:
                return []


def help_text() -> str:
    """The language in a few lines, for a tool tip."""
    lines = [f"{what}:…  {meaning}" for what, meaning in MEANINGS.items()]
    names = ", ".join(NAMES[:-1])
    return "\n".join(
        [
            "A filter, for example  thread:worker* -thread:logger cpu:0-3 time:1.2-3.4s",
            "Spaces mean and, commas mean or, - or not leaves out.",
            f"A {names} or {NAMES[-1]} is found by a part of its name, by * and ?, or whole in quotes.",
            "",
            *lines,
        ]
    )
