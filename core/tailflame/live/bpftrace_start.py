"""How a recipe is started for a running program: by us where we are root, else by the helper, which composes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tailflame.live.launcher import Launcher, Running, start
from tailflame.parse.bpftrace_recipe import ENVIRONMENT, LIVE_MS_USUAL, Recipe, compose


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRequest:
    """A recipe for a process, in words and numbers that can be checked. values: by parameter, all of them."""

    recipe: Recipe
    values: Mapping[str, str]
    pid: int
    live_ms: int = LIVE_MS_USUAL

    def program(self) -> str:
        """Raises ValueError."""
        return compose(self.recipe, self.values, pid=self.pid, machine=os.uname().machine, live_ms=self.live_ms)


class RecipeStart(Protocol):
    """Starts bpftrace with a recipe; its JSON lines are `lines`."""

    async def __call__(self, request: RecipeRequest) -> Running: ...


def recipes_as_ourselves(launcher: Launcher = start) -> RecipeStart:
    """bpftrace started by `launcher`, with its program in argv."""

    async def started(request: RecipeRequest) -> Running:
        argv = ("bpftrace", "-f", "json", "-B", "line", "-p", str(request.pid), "-e", request.program())
        return await launcher(argv, env=ENVIRONMENT)

    return started
