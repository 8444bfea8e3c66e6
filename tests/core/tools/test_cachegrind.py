"""The command lines of cachegrind and callgrind, and the caches that they are given."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.errors import ParseError
from tailflame.host.system import Host
from tailflame.parse import load
from tailflame.tools import FIELD_TOOLS, Level, OptionKind, Plan, Target, TargetIs, ToolOptions
from tailflame.tools.cachegrind import SERVERS, Cache, Cachegrind, cache_checks, read_cache
from tailflame.tools.callgrind import Callgrind

OUT = Path("/profiles/50% off")
PROGRAM = Target(binary=Path("/opt/engine"), args=("--seconds", "2"))
CACHEGRIND, CALLGRIND = Cachegrind(), Callgrind()
HOST = Host()


def options(**values: str | bool | int) -> ToolOptions:
    return ToolOptions(values={name.replace("_", "-"): value for name, value in values.items()})


def cachegrind(**values: str | bool | int) -> tuple[str, ...]:
    return CACHEGRIND.plan(PROGRAM, options(**values), OUT).argv


def callgrind(**values: str | bool | int) -> Plan:
    return CALLGRIND.plan(PROGRAM, options(**values), OUT)


def test_caches_are_simulated_in_so_many_words() -> None:
    plan = CACHEGRIND.plan(PROGRAM, ToolOptions(duration_s=3.0, extra=("--max-threads=900",)), OUT)
    assert plan.argv == (
        "valgrind", "--tool=cachegrind", "--fullpath-after=", "--cache-sim=yes", "--branch-sim=yes",
        "--cachegrind-out-file=/profiles/50%% off/cachegrind.out", "--max-threads=900",
        "--", "/opt/engine", "--seconds", "2",
    )  # fmt: skip
    assert plan.result == OUT / "cachegrind.out" and plan.target_is is TargetIs.ITSELF and plan.mirrors_target
    assert plan.stop_signal == signal.SIGTERM and plan.duration_s == 3.0 and not plan.requests


def test_caches_of_a_server_and_ones_own_last_level() -> None:
    argv = cachegrind(caches="xeon-icelake", branches=False)
    assert {"--I1=32768,8,64", "--D1=49152,12,64", "--LL=50331648,12,64"} <= set(argv)
    assert "--branch-sim=yes" not in argv
    own = cachegrind(caches="graviton3", last_level=" 8 MiB, 16, 64 ")
    assert "--D1=65536,4,64" in own and "--LL=8388608,16,64" in own
    assert not any(word.startswith(("--I1", "--D1", "--LL")) for word in cachegrind())
    assert [word for word in cachegrind(last_level="32M,16,64") if word.startswith(("--I1", "--LL"))] == [
        "--LL=33554432,16,64"
    ]


def test_every_cache_is_one_that_can_be_simulated() -> None:
    for words, *caches in SERVERS.values():
        assert words
        assert [cache.problem for cache in caches] == ["", "", ""]


@pytest.mark.parametrize(
    ("cache", "problem"),
    [
        (Cache(335_544_320, 1), "5242880 sets are no power of two"),
        (Cache(32768, 8, 48), "a line of 48 bytes"),
        (Cache(32768, 0), "not so many lines"),
        (Cache(100, 8), "not so many lines"),
        (Cache(33554432, 16), ""),
    ],
)
def test_what_cannot_be_simulated(cache: Cache, problem: str) -> None:
    assert cache.problem.find(problem) >= 0 and bool(cache.problem) == bool(problem)


@pytest.mark.parametrize(
    ("text", "cache"),
    [
        ("33554432,16,64", Cache(33554432, 16, 64)),
        ("32M,16,64", Cache(33554432, 16, 64)),
        ("1g,16,64", Cache(1 << 30, 16, 64)),
        ("48 KiB, 12, 64", Cache(49152, 12, 64)),
        ("32M", None),
        ("32M,16", None),
        ("-1,2,3", None),
        ("", None),
    ],
)
def test_caches_in_words(text: str, cache: Cache | None) -> None:
    assert read_cache(text) == cache


@pytest.mark.parametrize(
    ("values", "level", "words"),
    [
        ({}, Level.NOTE, "The last-level cache is the one that valgrind finds."),
        ({"last_level": "big"}, Level.BLOCKER, "The last-level cache cannot be read."),
        ({"last_level": "320M,1,64"}, Level.BLOCKER, "valgrind cannot simulate this last-level cache."),
    ],
)
def test_caches_that_spoil_it_are_told_before(values: dict[str, str], level: Level, words: str) -> None:
    (found,) = cache_checks(options(**values))
    assert found.level is level and found.title == words and found.fix


def test_caches_that_are_right_are_not_talked_about() -> None:
    assert not list(cache_checks(options(caches="epyc-milan")))
    assert not list(cache_checks(options(last_level="32M,16,64")))


@pytest.mark.parametrize("tool", [CACHEGRIND, CALLGRIND], ids=lambda tool: tool.name)
def test_the_last_level_is_the_one_that_the_kernel_tells(tool: Cachegrind | Callgrind) -> None:
    host = replace(HOST, last_level="32M,16,64")
    found = tool.defaults(host)
    target = Target(binary=Path("/nowhere/engine"))
    assert "--LL=33554432,16,64" in tool.plan(target, found, OUT).argv
    assert not tool.checks(target, found, host)
    own = replace(found, values={**found.values, "last-level": "8M,16,64"})
    assert "--LL=8388608,16,64" in tool.plan(target, own, OUT).argv
    server = replace(found, values={**found.values, "caches": "xeon-icelake"})
    assert [word for word in tool.plan(target, server, OUT).argv if word.startswith("--LL")] == ["--LL=50331648,12,64"]
    large = tool.checks(target, tool.defaults(replace(HOST, last_level="256M,16,64")), HOST)
    assert [finding.title for finding in large] == ["A last-level cache of 256 MiB is simulated."]
    odd = tool.defaults(replace(HOST, last_level="36M,12,64"))  # 49,152 sets: valgrind refuses it
    assert not any(word.startswith("--LL") for word in tool.plan(target, odd, OUT).argv)


def test_calls_with_caches_and_branches() -> None:
    plan = callgrind()
    assert plan.argv[:3] == ("valgrind", "--tool=callgrind", "--fullpath-after=")
    assert {"--cache-sim=yes", "--branch-sim=yes"} <= set(plan.argv)
    assert plan.result == OUT / "callgrind.out" and plan.leaves == ("callgrind.out.*", "callgrind.out-*")
    (dump,) = plan.requests
    assert dump.argv == ("vgdb", "--pid={pid}", "dump") and dump.artifact == "callgrind.out.{n}"


def test_what_of_a_run_is_counted() -> None:
    argv = callgrind(cache_sim=False, caches="graviton3", branches=False, jumps=True, instructions=True,
                     only_in=" engine::run* ").argv  # fmt: skip
    assert {"--collect-jumps=yes", "--dump-instr=yes", "--toggle-collect=engine::run*"} <= set(argv)
    assert not any(word.startswith(("--cache-sim", "--branch-sim", "--LL", "--I1")) for word in argv)
    threads = callgrind(threads=True)
    assert threads.result == OUT / "callgrind.out" and "--separate-threads=yes" in threads.argv
    assert threads.leaves == ("callgrind.out.*", "callgrind.out-*") and threads.grows == ("callgrind.out-*",)
    (step,) = threads.after
    assert step.argv == (sys.executable, "-m", "tailflame.run.callgrind_threads", str(OUT / "callgrind.out"))
    assert not threads.requests and not callgrind().after


def test_what_is_said_before_it_runs() -> None:
    target = Target(binary=Path("/nowhere/engine"))
    titles = [f.title for f in CALLGRIND.checks(target, options(only_in="run"), HOST)]
    assert titles == ["The last-level cache is the one that valgrind finds.", "Only what runs in run is counted."]
    assert not CALLGRIND.checks(target, options(cache_sim=False), HOST)
    assert [f.level for f in CACHEGRIND.checks(target, options(), HOST)] == [Level.NOTE]


@pytest.mark.parametrize("tool", [CACHEGRIND, CALLGRIND], ids=lambda tool: tool.name)
def test_both_are_offered_and_describe_themselves(tool: Cachegrind | Callgrind) -> None:
    assert tool.name in {known.name for known in FIELD_TOOLS}
    fields = {field.name: field for field in tool.fields(HOST)}
    assert {"caches", "last-level", "branches"} <= fields.keys()
    for field in fields.values():
        assert field.title and field.tip.endswith(".")
        assert (field.kind is OptionKind.CHOICE) == bool(field.choices)
        assert field.only_with is None or field.only_with[0] in fields
    assert tool.slow_down.sentence.startswith("About ")
    assert tool.launches and not tool.attaches


def run(plan: Plan) -> str:
    done = subprocess.run(plan.argv, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.tool("valgrind")
@pytest.mark.parametrize("server", ["xeon-sapphire", "graviton3"])
def test_valgrind_takes_the_caches_of_servers(server: str, tmp_path: Path) -> None:
    target = Target(Path(shutil.which("true") or "/bin/true"))
    plan = CACHEGRIND.plan(target, options(caches=server), tmp_path)
    run(plan)
    costs = load(plan.result).costs
    assert costs is not None
    for name, cache in zip(("I1", "D1", "LL"), SERVERS[server][1:], strict=True):
        (note,) = [note for note in costs.notes if note.startswith(name)]
        assert f"{cache.size} B" in note and f"{cache.ways}-way" in note  # type: ignore[attr-defined]


@pytest.mark.tool("valgrind", "vgdb")
def test_a_part_is_written_on_request(tmp_path: Path) -> None:
    target = Target(Path(shutil.which("sh") or "/bin/sh"), ("-c", "while :; do :; done"))
    plan = CALLGRIND.plan(target, options(cache_sim=False, branches=False), tmp_path)
    (dump,) = plan.requests
    with subprocess.Popen(plan.argv, stderr=subprocess.PIPE, text=True) as tool:
        try:
            words = [word.replace("{pid}", str(tool.pid)) for word in dump.argv]
            deadline = time.monotonic() + 60
            parts: list[Path] = []
            while not any(map(_has_costs, parts)):  # the first may come before the program has begun
                assert time.monotonic() < deadline and tool.poll() is None
                if not subprocess.run(words, check=False, capture_output=True).returncode:
                    parts.append(tmp_path / dump.artifact.replace("{n}", str(len(parts) + 1)))
        finally:
            os.kill(tool.pid, signal.SIGTERM)
        tool.communicate(timeout=60)
    assert load(plan.result).format == "callgrind"


def _has_costs(part: Path) -> bool:
    try:
        return load(part).costs is not None
    except ParseError:
        return False
