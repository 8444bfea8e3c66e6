"""In which way a tool is started: in the order of the ways, asked for once, and with less where somebody says no."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import pytest

from helpers.loop import in_loop
from tailflame.errors import TargetError, ToolDenied
from tailflame.host import running
from tailflame.host.privilege import Means, Need, Way
from tailflame.host.system import Host
from tailflame.live import permission
from tailflame.live.permission import Permission
from tailflame.live.probe_program import ProbeRequest

HELPER = Path("/usr/libexec/tailflame/tailflame-helper")
USER_ONLY = Host(perf=Path("/usr/bin/perf"), user_only=True, perf_event_paranoid=2, events=MappingProxyType({}))
BOTH = Means(helper=HELPER, pkexec=True, sudo=True)
COUNT = ("perf", "stat", "-j")


class Client:
    """Plays a helper that is running."""

    def __init__(self) -> None:
        self.alive = True
        self.asked: list[Any] = []

    async def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Any:
        self.asked.append(tuple(argv))
        return self

    async def probe(self, request: ProbeRequest) -> Any:
        self.asked.append(request)
        return self

    async def close(self) -> None:
        self.alive = False


class World:
    """What is there, who was asked, and what was started as ourselves."""

    def __init__(self, has: Means, *, refuse: Sequence[str] = ()) -> None:
        self.refuse = refuse
        self.client = Client()
        self.asked: list[str] = []
        self.ours: list[tuple[str, ...]] = []
        self.permission = Permission(look=lambda: (USER_ONLY, has), connect=self.connect, launch=self.launch)

    async def connect(self, argv: Sequence[str]) -> Any:
        self.asked.append(argv[0])
        if argv[0] in self.refuse:
            raise ToolDenied(f"{argv[0]} says no.")
        return self.client

    async def launch(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Any:
        self.ours.append(tuple(argv))
        return self


@pytest.fixture(autouse=True)
def _plain_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda _self, name: Path("/usr/bin", name))


@pytest.fixture
def target() -> Iterator[int]:
    with psutil.Popen(["sleep", "60"]) as child:
        yield child.pid
        child.kill()


@in_loop
async def test_the_helper_is_asked_once_for_all_sources(target: int) -> None:
    world = World(BOTH)
    for _ in range(2):
        assert await world.permission.launcher(Need.COUNT, target)(COUNT) is world.client
    request = ProbeRequest(binary="/x", symbols=("f",), recursive=(False,), pid=target, interval_ms=200)
    assert await world.permission.probe(request) is world.client
    assert (world.asked, world.client.asked, world.ours) == (["pkexec"], [COUNT, COUNT, request], [])
    await world.permission.close()
    assert not world.client.alive
    await world.permission.close()


@in_loop
async def test_the_helper_records_the_kernel_as_well(target: int) -> None:
    ours = ("perf", "record", "-F", "999", "-e", "cycles:u,page-faults:u", "-p", str(target))
    world = World(BOTH)
    await world.permission.launcher(Need.RECORD, target)(ours)
    assert world.client.asked == [("perf", "record", "-F", "999", "-e", "cycles,page-faults", "-p", str(target))]
    refused = World(BOTH, refuse=("pkexec", "sudo"))
    await refused.permission.launcher(Need.RECORD, target)(ours)
    assert refused.ours == [ours]


@in_loop
async def test_who_says_no_is_not_asked_again_until_wanted(target: int) -> None:
    world = World(BOTH, refuse=("pkexec", "sudo"))
    launcher = world.permission.launcher(Need.COUNT, target)
    for _ in range(2):
        assert await launcher(COUNT) is world, "user space alone, as ourselves"
    assert world.asked == ["pkexec", "sudo"]
    world.permission.ask_again()
    world.refuse = ()
    assert await launcher(COUNT) is world.client
    assert world.asked == ["pkexec", "sudo", "pkexec"]


@in_loop
async def test_sudo_comes_after_the_helper(target: int) -> None:
    world = World(BOTH, refuse=("pkexec",))
    await world.permission.launcher(Need.RECORD, target)(COUNT)
    assert (world.asked, world.ours) == (["pkexec", "sudo"], [])


@in_loop
async def test_a_helper_that_has_ended_is_started_anew(target: int) -> None:
    world = World(BOTH)
    launcher = world.permission.launcher(Need.COUNT, target)
    await launcher(COUNT)
    world.client.alive = False
    world.client = Client()
    await launcher(COUNT)
    assert world.asked == ["pkexec", "pkexec"]


@in_loop
async def test_no_way_is_an_error_with_its_fix(target: int) -> None:
    world = World(Means())
    request = ProbeRequest(binary="/x", symbols=("f",), recursive=(False,), pid=target, interval_ms=200)
    with pytest.raises(ToolDenied, match="root alone") as caught:
        await world.permission.probe(request)
    assert caught.value.advice
    refused = World(BOTH, refuse=("pkexec", "sudo"))
    with pytest.raises(ToolDenied, match="sudo says no"):
        await refused.permission.probe(request)
    with pytest.raises(TargetError):
        await world.permission.launcher(Need.COUNT, 4_194_000)(COUNT)


@in_loop
async def test_root_needs_nobody(target: int) -> None:
    world = World(Means(root=True))
    assert await world.permission.launcher(Need.COUNT, target)(COUNT) is world
    found = await world.permission.access(Need.COUNT, target)
    assert (found.way, found.full, world.asked) == (Way.AS_IS, True, [])


@in_loop
async def test_the_facts_of_this_machine_are_enough(target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "probe_host", lambda: USER_ONLY)
    if os.geteuid() == 0:
        assert (await Permission().access(Need.COUNT, target)).way is Way.AS_IS
    monkeypatch.setattr(running.os, "geteuid", lambda: 4711)
    found = await Permission(look=lambda: (USER_ONLY, BOTH)).access(Need.COUNT, target)
    assert not found.possible and isinstance(found.sentence, str)
