"""The client of the privileged helper: with one that plays a part, and with the real one for a user who is not root."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import ROOT
from helpers.loop import in_loop
from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.live.bpftrace_start import RecipeRequest
from tailflame.live.helper_client import VERSION, HelperClient, refusal
from tailflame.parse.bpftrace_bundled import recipe_named

HELLO = f"say(event='hello', version={VERSION}, uid=0)\n"
COUNT = ("perf", "stat", "-j", "-I", "100", "-e", "task-clock", "-p", str(os.getpid()))


def part(code: str) -> list[str]:
    """A helper that plays a part: `say` writes a message, `hear` waits for one, `data` encodes."""
    head = (
        "import base64, json, sys, time\n"
        "def say(**m): print(json.dumps(m), flush=True)\n"
        "def hear(): return json.loads(sys.stdin.readline() or 'null')\n"
        "def data(text): return base64.b64encode(text.encode()).decode()\n"
    )
    return [sys.executable, "-c", head + code]


async def failure(code: str) -> TailflameError:
    with pytest.raises(TailflameError) as caught:
        await HelperClient.start(part(code))
    return caught.value


@in_loop
async def test_lines_come_as_from_any_launcher() -> None:
    code = HELLO + (
        "job = hear()\n"
        "assert job['verb'] == 'perf-stat' and job['events'] == ['task-clock']\n"
        "say(job=1, event='started', argv=[])\n"
        "say(job=1, stream='out', data=data('a\\n\\nb'))\n"
        "say(job=1, stream='err', data=data('warned\\n'))\n"
        "say(job=1, stream='out', data=data('c\\nlast'))\n"
        "assert hear() == {'stop': 1}\n"
        "say(job=1, event='ended', status=-2)\n"
        "assert hear() is None\n"
    )
    client = await HelperClient.start(part(code))
    running = await client(COUNT)
    seen = []
    async for line in running.lines():
        seen.append(line)
        if line == b"bc":
            running.interrupt()
    assert seen == [b"a", b"", b"bc", b"last"]
    assert (await running.wait(), running.returncode, running.pid) == (-2, -2, 0)
    assert running.stderr_text() == "warned\n"
    assert await running.stop() == -2
    await client.close()
    await client.close()
    assert not client.alive


@in_loop
async def test_files_are_written_where_the_caller_wants_them() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "perf.data")
        code = HELLO + (
            "hear()\nsay(job=1, event='started', argv=[])\n"
            "say(job=1, stream='file', at=0, data=data('....'))\n"
            "say(job=1, stream='file', at=4, data=data('body'))\n"
            "say(job=1, stream='file', at=0, data=data('head'))\n"
            "say(job=1, event='ended', status=0)\nhear()\n"
        )
        client = await HelperClient.start(part(code))
        argv = ("perf", "record", "-F", "99", "-e", "cycles", "-p", str(os.getpid()), "-o", str(out))
        running = await client(argv)
        assert await running.wait() == 0
        assert await asyncio.to_thread(out.read_bytes) == b"headbody"
        with pytest.raises(ToolFailed, match="cannot be written"):
            await client((*argv[:-1], f"{folder}/no/such/folder"))
        await client.close()


@in_loop
async def test_a_refusal_is_the_error() -> None:
    code = HELLO + "hear()\nsay(job=1, event='refused', reason='Not yours.')\nhear()\n"
    client = await HelperClient.start(part(code))
    with pytest.raises(ToolDenied, match="Not yours"):
        await client(COUNT)
    await client.close()


@in_loop
async def test_a_helper_that_dies_ends_its_jobs() -> None:
    code = HELLO + "hear()\nsay(job=1, event='started', argv=[])\nsay(job=1, stream='out', data=data('x\\n'))\n"
    client = await HelperClient.start(part(code))
    running = await client(COUNT)
    assert [line async for line in running.lines()] == [b"x"]
    assert await running.stop() == -1
    assert "has ended" in running.stderr_text()
    with pytest.raises(ToolFailed, match="has ended"):
        await client(COUNT)
    await client.close()


@in_loop
async def test_a_job_that_nobody_waits_for_is_taken_back() -> None:
    code = HELLO + "hear()\nassert hear() == {'stop': 1}\nsay(job=1, event='ended', status=-2)\nhear()\n"
    client = await HelperClient.start(part(code))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client(COUNT)
    await client.close()


@in_loop
async def test_giving_up_while_the_password_is_asked_for_ends_the_question() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await HelperClient.start(part("time.sleep(600)"))


@in_loop
async def test_why_it_does_not_start() -> None:
    assert "another version (99" in (await failure("say(event='hello', version=99, uid=0)\nhear()")).sentence
    dismissed = await failure("print('Error executing command as another user: Request dismissed', file=sys.stderr)\n"
                              "sys.exit(126)")  # fmt: skip
    assert isinstance(dismissed, ToolDenied) and "dismissed" in dismissed.details
    broken = await failure("raise SystemExit('rules.py does not belong to root alone.')")
    assert "rules.py" in broken.details
    with pytest.raises(ToolMissing, match="no-such-pkexec is not installed"):
        await HelperClient.start(["no-such-pkexec"])


@pytest.mark.parametrize(
    ("status", "words", "sentence"),
    [
        (127, "Error creating textual authentication agent: Error opening current controlling terminal", "no auth"),
        (
            127,
            "Error getting authority: Error initializing authority: Could not connect: No such file",
            "polkit is not",
        ),
        (127, "Error executing command as another user: No authentication agent found.", "no auth"),
        (126, "Error executing command as another user: Request dismissed", "not given"),
        (
            127,
            "Error executing command as another user: Not authorized\n\nThis incident has been reported.",
            "password was",
        ),
        (-2, "", "not given"),
        (127, "pkexec must be setuid root", "cannot become root"),
        (1, "sudo: a password is required", "sudo asks"),
        (1, "sudo: nobody is not in the sudoers file", "sudo asks"),
        (2, "This runs through pkexec", "could not be started"),
    ],
)
def test_what_pkexec_and_sudo_say(status: int, words: str, sentence: str) -> None:
    error = refusal(status, words)
    assert sentence in error.sentence
    assert error.advice and error.details == words


@in_loop
async def test_pkexec_sees_nothing_that_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHELL", "LANG", "LC_MESSAGES", "TERM", "XAUTHORITY"):
        monkeypatch.setenv(name, "/opt/../%odd")
    named = await failure("import os; sys.exit(' '.join(sorted(k for k, v in os.environ.items() if 'odd' in v)) + '!')")
    assert named.details == "!"


# The real helper, for a client that has given up root for good.

CLIENT = """
import asyncio, json, os, sys
from contextlib import aclosing
from pathlib import Path
from tailflame.host.running import process_of
from tailflame.live.cpu_recording import CpuRecording, is_complete
from tailflame.live.helper_client import HelperClient
from tailflame.live.probe_program import ProbeRequest
from tailflame.live.syscall_summary import SyscallSummary
from tailflame.tools.perf_record import PerfOptions, attach_argv

pid, out, helper = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]

async def main():
    client = await HelperClient.start(helper)
    # From here on we are nobody, as a window would be.
    os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
    told = {"uids": os.getresuid()}
    running = await client(("perf", "stat", "-j", "-I", "100", "-e", "task-clock,context-switches", "-p", str(pid)))
    counted = []
    async for line in running.lines():
        counted.append(json.loads(line))
        if len(counted) == 6:
            break
    await running.stop()
    told["counted"] = counted
    data = out / "perf.data"
    source = CpuRecording(data, attach_argv(PerfOptions(frequency=499), pid, data), launcher=client)
    kinds = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            kinds.append(type(update).__name__)
            if getattr(update, "value", 0) and update.value > 50_000:
                source.finish()
    told["recording"], told["complete"] = kinds, is_complete(data)
    source = SyscallSummary(pid, out / "syscalls.txt", seconds=1.0, launcher=client)
    async with aclosing(source.updates()) as updates:
        told["syscalls"] = [u.series for u in [u async for u in updates] if hasattr(u, "series")]
    try:
        await client(("perf", "stat", "-j", "-I", "100", "-e", "task-clock", "-p", "1"))
    except Exception as error:
        told["refused"] = str(error)
    await client.close()
    told["owners"] = {path.name: path.stat().st_uid for path in out.iterdir()}
    print(json.dumps(told))

asyncio.run(main())
"""
BUSY = "import os\nprint(flush=True)\nwhile True:\n  for _ in range(1000): os.getppid()"


@pytest.mark.tool("perf")
@pytest.mark.tool("strace")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be the helper and to become nobody")
def test_a_user_without_rights_sees_the_kernel_and_owns_every_file() -> None:
    helper = ["env", "-i", "PKEXEC_UID=65534", str(ROOT / "packaging" / "helper" / "tailflame-helper")]
    options: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, subprocess.Popen(
        ["/usr/bin/python3", "-c", BUSY], stdout=subprocess.PIPE, **options
    ) as target:  # fmt: skip
        assert target.stdout is not None
        target.stdout.readline()
        os.chmod(folder, 0o777)
        before = _untouched(target.pid)
        try:
            done = subprocess.run(
                [sys.executable, "-c", CLIENT, str(target.pid), folder, *helper], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)
            assert _untouched(target.pid) == before
        finally:
            target.kill()
        script = subprocess.run(
            ["perf", "script", "-f", "-i", f"{folder}/perf.data", "-F", "pid,event,ip"], capture_output=True, text=True
        )
    assert told["uids"] == [65534] * 3
    assert {line["event"] for line in told["counted"]} == {"task-clock", "context-switches"}, "not :u, as for a user"
    assert told["recording"][0] == "Armed" and told["recording"][-1] == "Artifact"
    assert told["complete"] is True
    assert "getppid: calls" in told["syscalls"]
    assert told["refused"].startswith("Process 1 does not belong")
    assert told["owners"] == {"perf.data": 65534, "syscalls.txt": 65534}
    assert "cpu-clock:u" not in script.stdout
    assert re.search(r"^\s+ffff[0-9a-f]{12}$", script.stdout, re.MULTILINE), "kernel frames, which a user has none of"


def _untouched(pid: int) -> list[str]:
    """What a tracer or a debugger would change."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("TracerPid", "SigBlk", "SigIgn", "SigCgt", "Seccomp"))]


@in_loop
async def test_a_recipe_goes_by_its_name_and_values() -> None:
    """Never as a text: the helper has its own copies."""
    code = HELLO + (
        "job = hear()\n"
        "assert job.pop('pid') and job.pop('start'), job\n"
        "assert job == {'job': 1, 'verb': 'recipe', 'recipe': 'off-cpu', 'values': {'least_us': '5'},"
        " 'interval_ms': 500}, job\n"
        "say(job=1, event='started', argv=[])\n"
        "say(job=1, stream='out', data=data('x\\n'))\n"
        "say(job=1, event='ended', status=0)\n"
        "hear()\n"
    )
    recipe = recipe_named("off-cpu")
    assert recipe is not None
    client = await HelperClient.start(part(code))
    request = RecipeRequest(recipe=recipe, values={"least_us": "5"}, pid=os.getpid(), live_ms=500)
    running = await client.recipe(request)
    assert [line async for line in running.lines()] == [b"x"]
    await client.close()
