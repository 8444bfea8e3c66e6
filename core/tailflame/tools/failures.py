"""A tool's own words for what went wrong, as data: what each means, in a sentence with its fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tailflame.errors import TailflameError
from tailflame.host.install import install_command
from tailflame.tools.base import Plan


@dataclass(frozen=True, slots=True)
class Failure:
    """pattern: what is found in the tool's output then. kind: the error that it is.

    sentence, advice: with {1} or {name} for the pattern's groups, {plan.target.name} for the program, and
    {install:gdb} for the command that installs a package.
    """

    pattern: re.Pattern[str]
    kind: type[TailflameError]
    sentence: str
    advice: str = ""


class _Install:
    """Looked up where it is asked for: a system's packages are in its files."""

    def __format__(self, package: str) -> str:
        return install_command(package)


def explained(failures: Iterable[Failure], output: str, plan: Plan) -> TailflameError | None:
    """The first of the failures that `output` tells of, None where it tells of none."""
    for failure in failures:
        if (found := failure.pattern.search(output)) is not None:
            groups = [text.rstrip() if text else "" for text in (found[0], *found.groups())]
            words = {"plan": plan, "install": _Install(), **found.groupdict(default="")}
            sentence, advice = (text.format(*groups, **words) for text in (failure.sentence, failure.advice))
            return failure.kind(sentence, advice=advice, details=output)
    return None
