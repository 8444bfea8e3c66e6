"""How each tool of a live run gets its permission: as we are, else through the helper, else through sudo, else less.

Tailflame never raises its own privilege or the target's. What needs root is started by one small helper
(packaging/helper), which the user permits once; it ends with the run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolMissing
from tailflame.host.privilege import Access, Need, Way, access, means
from tailflame.host.running import process_of
from tailflame.host.system import probe_host
from tailflame.live.helper_client import HelperClient
from tailflame.live.launcher import Launcher, Running, start
from tailflame.live.probe_program import ProbeRequest
from tailflame.live.probe_run import ProbeStart, as_ourselves

_HELPED = (Way.HELPER, Way.SUDO)


class Permission:
    """For the sources of one run. `terminal`: a password may be asked for in ours, where no desktop asks."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._terminal = terminal
        self._client: HelperClient | None = None
        self._asking = asyncio.Lock()
        self._refused: TailflameError | None = None

    def launcher(self, need: Need, pid: int) -> Launcher:
        """What starts a tool that does `need` to the process `pid`."""
        if os.geteuid() == 0:
            return start

        async def started(
            argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
        ) -> Running:
            helper = await self._helper(need, pid)
            return await (helper or start)(argv, env=env, stdout=stdout)

        return started

    def probe(self, pid: int) -> ProbeStart:
        """What starts bpftrace for function probes, as the process `pid` needs it."""
        plain = as_ourselves()

        async def started(request: ProbeRequest) -> Running:
            helper = await self._helper(Need.PROBE, pid)
            return await (helper.probe if helper is not None else plain)(request)

        return started

    async def close(self) -> None:
        """Ends the helper with everything that it has started."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _helper(self, need: Need, pid: int) -> HelperClient | None:
        """None: start it as we are. Raises ToolDenied, with the fix, where there is no way at all."""
        found = await asyncio.to_thread(_access, need, pid)
        refusal: TailflameError | None = None
        for way in found.ways:
            if way not in _HELPED:
                return None
            try:
                return await self._client_through(way)
            except (ToolDenied, ToolMissing) as error:
                refusal = error
        raise refusal or ToolDenied(found.sentence, advice=found.fix)

    async def _client_through(self, way: Way) -> HelperClient:
        """The one helper of the run. The user is asked once: a refusal holds for the rest of it."""
        async with self._asking:
            if self._client is not None and self._client.alive:
                return self._client
            if self._refused is not None:
                raise self._refused
            has = await asyncio.to_thread(means)
            argv = has.argv(way, terminal=self._terminal)
            if not argv:
                raise ToolMissing("The privileged helper is not installed.", advice="make install-helper")
            try:
                self._client = await HelperClient.start(argv, terminal=self._terminal)
            except ToolDenied as refused:
                self._refused = refused
                raise
            return self._client


def _access(need: Need, pid: int) -> Access:
    process = process_of(pid)
    if process is None:
        raise TargetError(f"There is no process {pid} any more.", advice="Choose one that runs.")
    return access(need, process, probe_host(), means())
