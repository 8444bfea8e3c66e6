"""From the names that a person or a profile gives to functions that may be probed, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.errors import TargetError
from tailflame.host.functions import Function, functions_of
from tailflame.host.inlined import inlined_into
from tailflame.host.probe_safety import Verdict, judge
from tailflame.model import StackProfile

PROBED_AT_MOST = 16
"""Functions at a time; each costs the program its share."""


def functions_called(image: Path, names: Sequence[str]) -> tuple[Function, ...]:
    """The functions of `image` that `names` mean, each once. Seconds for a big binary: call it in a thread.

    Raises TargetError where a name means none, or too many.
    """
    table = functions_of(image)
    if not len(table):
        raise TargetError(
            table.reason or f"{image} has no symbols.",
            advice="Build it with symbols (strip = false) to probe functions.",
        )
    found: dict[str, Function] = {}
    for name in names:
        if not name.strip():
            raise TargetError("A function needs a name.", advice="Give the name as a profile shows it.")
        matches = table.match(name)
        if not matches:
            raise _unknown(image, name, table.search(name, limit=3))
        found |= {function.symbol: function for function in matches}
    if len(found) > PROBED_AT_MOST:
        raise TargetError(
            f"These names mean {len(found)} functions; {PROBED_AT_MOST} can be probed at a time.",
            advice="Write more of the name, or choose fewer.",
        )
    return tuple(found.values())


def judged(image: Path, functions: Sequence[Function], *, accepted_unwinding: bool, pid: int | None = None) -> Verdict:
    """The verdict on `functions`; TargetError where they may not be probed, with what can be done."""
    verdict = judge(image, functions, accepted_unwinding=accepted_unwinding, pid=pid)
    if not verdict.allowed:
        raise TargetError(verdict.refusal, advice=verdict.advice)
    return verdict


def hottest(profile: StackProfile, image: Path, *, number: int = 3) -> tuple[str, ...]:
    """The names of the hottest functions of a profile that can be probed in `image`: those with code of their own."""
    table = functions_of(image)
    rows = hotspots(profile, by=GroupBy.FUNCTION)
    names = (rows.key[row] for row in rows.hottest(len(rows)))
    probeable = [name for name in names if table.match(name)]
    if not probeable:
        raise TargetError(
            "None of the profile's functions has code of its own in this binary.",
            advice="Record a profile of this very program, or name a function.",
        )
    return tuple(probeable[:number])


def _unknown(image: Path, name: str, similar: Sequence[Function]) -> TargetError:
    callers = inlined_into(image, name)
    if callers:
        listed = ", ".join(callers[:3])
        return TargetError(
            f"{name} has no code of its own: the compiler put it into its callers.",
            advice=f"Probe one of them ({listed}), or mark it #[inline(never)].",
        )
    if similar:
        return TargetError(
            f"There is no function called {name}.", advice=f"Similar: {', '.join(f.name for f in similar)}."
        )
    return TargetError(f"There is no function called {name}.", advice="Give the name as a profile shows it.")
