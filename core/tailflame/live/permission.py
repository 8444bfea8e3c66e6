"""Starts the tools of live sources in whatever way is permitted: as ourselves, by the helper, or with less.

One for all sources of a window or a command: the helper is started when the first of them needs it, so that the user
is asked for the password once, and whoever says no is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tailflame.errors import TailflameError, TargetError, ToolDenied
from tailflame.host.privilege import Access, Means, Need, Way, access, means
from tailflame.host.running import process_of
from tailflame.host.system import Host, probe_host
from tailflame.live.bpftrace_start import RecipeRequest, recipes_as_ourselves
from tailflame.live.helper_client import HelperClient
from tailflame.live.launcher import Launcher, Running, start
from tailflame.live.probe_program import ProbeRequest
from tailflame.live.probe_run import as_ourselves

Connect = Callable[[Sequence[str]], Awaitable[HelperClient]]


class Permission:
    """`launcher(need, pid)` and `probe` are what sources are made with. `close` it when no source runs any more."""

    def __init__(
        self,
        *,
        terminal: bool = False,
        look: Callable[[], tuple[Host, Means]] | None = None,
        connect: Connect | None = None,
        launch: Launcher = start,
    ) -> None:
        """terminal: polkit may ask in ours, where no desktop asks. look: the facts of this machine."""
        self._terminal = terminal
        self._look = look if look is not None else lambda: (probe_host(), means())
        self._connect = connect if connect is not None else self._start_helper
        self._launch = launch
        self._means = Means()
        self._clients: dict[Way, HelperClient] = {}
        self._refusals: dict[Way, TailflameError] = {}
        self._connecting = asyncio.Lock()

    async def access(self, need: Need, pid: int) -> Access:
        """What is possible for a process, for the preflight. Raises TargetError where it has ended."""
        return await asyncio.to_thread(self._access, need, pid)

    def ask_again(self) -> None:
        """Forgets that the user, or the system, said no."""
        self._refusals.clear()

    def launcher(self, need: Need, pid: int) -> Launcher:
        """Starts command lines of one tool for one process.

        Raises, when called: what the launchers do; ToolDenied with the fix where there is no way.
        """

        async def launched(
            argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
        ) -> Running:
            return await self._by_any_way(
                need,
                pid,
                lambda: self._launch(argv, env=env, stdout=stdout),
                lambda client: client(_kernel_too(argv), env=env, stdout=stdout),
            )

        return launched

    async def probe(self, request: ProbeRequest) -> Running:
        """Starts bpftrace: a `probe_run.ProbeStart`."""
        ourselves = as_ourselves(self._launch)
        return await self._by_any_way(
            Need.PROBE, request.pid, lambda: ourselves(request), lambda client: client.probe(request)
        )

    async def recipe(self, request: RecipeRequest) -> Running:
        """Starts bpftrace with a recipe: a `bpftrace_start.RecipeStart`."""
        ourselves = recipes_as_ourselves(self._launch)
        return await self._by_any_way(
            Need.PROBE, request.pid, lambda: ourselves(request), lambda client: client.recipe(request)
        )

    async def close(self) -> None:
        """Ends the helper with everything that it still runs."""
        while self._clients:
            await self._clients.popitem()[1].close()

    async def _by_any_way(
        self,
        need: Need,
        pid: int,
        ourselves: Callable[[], Awaitable[Running]],
        by_helper: Callable[[HelperClient], Awaitable[Running]],
    ) -> Running:
        found = await self.access(need, pid)
        error: TailflameError = ToolDenied(found.sentence, advice=found.fix)
        for way in found.ways:
            if way in (Way.AS_IS, Way.REDUCED):
                return await ourselves()
            try:
                return await by_helper(await self._client(way))
            except TargetError:
                raise
            except TailflameError as refusal:
                error = refusal
        raise error

    def _access(self, need: Need, pid: int) -> Access:
        host, self._means = self._look()
        process = process_of(pid)
        if process is None:
            raise TargetError(f"There is no process {pid} any more.", advice="Choose one that runs.")
        return access(need, process, host, self._means)

    async def _client(self, way: Way) -> HelperClient:
        """The running helper; two sources that begin at the same time do not ask twice."""
        async with self._connecting:
            client = self._clients.get(way)
            if client is not None and client.alive:
                return client
            if way in self._refusals:
                raise self._refusals[way]
            try:
                self._clients[way] = client = await self._connect(self._means.argv(way))
            except TailflameError as refusal:
                self._refusals[way] = refusal
                raise
            return client

    async def _start_helper(self, argv: Sequence[str]) -> HelperClient:
        return await HelperClient.start(argv, terminal=self._terminal)


def _kernel_too(argv: Sequence[str]) -> Sequence[str]:
    """The events of perf without `:u`, which they carry where we may see user space alone: the helper is root."""
    if "-e" not in argv:
        return argv
    at = argv.index("-e") + 1
    events = ",".join(event.removesuffix(":u") for event in argv[at].split(","))
    return (*argv[:at], events, *argv[at + 1 :])
