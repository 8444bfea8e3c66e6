"""A child under the event loop: its output, its end, and who gets signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tailflame.errors import TargetError, ToolFailed, ToolMissing
from tailflame.run.process import Child, Handle, Tail, guard


async def start(
    folder: Path, code: str, own_lines: re.Pattern[str] | None = None, cwd: Path | None = None
) -> tuple[Child, asyncio.Event]:
    woken = asyncio.Event()
    child = await Child.start(
        (sys.executable, "-c", code),
        wake=woken.set,
        stdout=folder / "stdout.txt",
        stderr=folder / "stderr.txt",
        cwd=cwd,
        env=dict(os.environ),
        own_lines=own_lines,
    )
    return child, woken


async def end(child: Child, woken: asyncio.Event) -> None:
    while not child.ended:
        woken.clear()
        await woken.wait()
    child.close()


def run(folder: Path, code: str, own_lines: re.Pattern[str] | None = None) -> tuple[dict[str, str], int | None]:
    """What it wrote, read while it runs and at the end, and its code."""

    async def everything() -> tuple[dict[str, str], int | None]:
        child, _woken = await start(folder, code, own_lines)
        texts = {"stdout": "", "stderr": "", "tool": ""}
        while not child.ended:
            for output in child.take():
                texts[output.stream] += output.text
            await asyncio.sleep(0)
        for output in child.take(partial=True):
            texts[output.stream] += output.text
        child.close()
        return texts, child.returncode

    return asyncio.run(everything())


def test_both_streams_and_the_code(tmp_path: Path) -> None:
    texts, code = run(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (texts["stdout"], texts["stderr"], code) == ("out\n", "err\n", 3)


def test_a_signal_is_negative(tmp_path: Path) -> None:
    assert run(tmp_path, "import os; os.kill(os.getpid(), 11)")[1] == -11


def test_lines_above_64_kib_and_characters_cut_in_two(tmp_path: Path) -> None:
    texts, _ = run(
        tmp_path, "import sys; sys.stdout.buffer.write(('ä' * 300_000 + '\\n').encode() + b'\\xff!'); print('é' * 5)"
    )
    assert texts["stdout"] == "ä" * 300_000 + "\n�!" + "é" * 5 + "\n"


def test_lines_of_stderr_go_to_their_owner_whole(tmp_path: Path) -> None:
    texts, _ = run(
        tmp_path,
        "import sys, time\n"
        "for part in ('mine\\n[ perf ', 'record: Woken ]\\n', 'again', ' mine\\n[ perf record: Captured ]\\nlast'):\n"
        "    sys.stderr.write(part); sys.stderr.flush(); time.sleep(0.02)",
        re.compile(r"^\[ perf record: .*\]$"),
    )
    assert texts["tool"] == "[ perf record: Woken ]\n[ perf record: Captured ]\n"
    assert texts["stderr"] == "mine\nagain mine\nlast"


def test_stdin_is_at_its_end(tmp_path: Path) -> None:
    assert run(tmp_path, "import sys; print(repr(sys.stdin.read()))")[0]["stdout"] == "''\n"


def test_of_a_flood_the_end_is_shown_and_the_file_has_it_all(tmp_path: Path) -> None:
    async def flood() -> str:
        child, woken = await start(tmp_path, "for n in range(20): print(str(n % 10) * 999_999)")
        await end(child, woken)
        return "".join(output.text for output in child.take(partial=True))

    text = asyncio.run(flood())
    assert len(text) < 1_100_000
    assert text.startswith("\n[19")
    assert "stdout.txt has them all]" in text
    assert text.endswith("9" * 999_999 + "\n")
    assert (tmp_path / "stdout.txt").stat().st_size == 20_000_000


def test_own_session(tmp_path: Path) -> None:
    texts, _ = run(tmp_path, "import os; print(os.getsid(0) == os.getpid())")
    assert texts["stdout"] == "True\n"


def test_what_cannot_be_started(tmp_path: Path) -> None:
    async def begin(argv: tuple[str, ...], cwd: Path | None = None) -> None:
        out, err = tmp_path / "stdout.txt", tmp_path / "stderr.txt"
        await Child.start(argv, wake=lambda: None, stdout=out, stderr=err, cwd=cwd, env={})

    with pytest.raises(ToolMissing, match="nosuch"):
        asyncio.run(begin((str(tmp_path / "nosuch"),)))
    with pytest.raises(ToolFailed, match="Permission denied"):
        asyncio.run(begin((str(tmp_path),)))
    with pytest.raises(TargetError, match="working directory"):
        asyncio.run(begin(("true",), tmp_path / "nosuch"))


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="may not be written to"):
        asyncio.run(start(tmp_path / "nosuch", "pass"))


def test_what_is_still_written_after_the_end_does_not_hold_us(tmp_path: Path) -> None:
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"

    async def orphan() -> bool:
        child, woken = await start(tmp_path, code)
        await end(child, woken)
        return child.signal_group(signal.SIGKILL)

    assert asyncio.run(orphan())


def test_the_reader_may_die(tmp_path: Path) -> None:
    """No SIGPIPE: a child whose recorder was killed writes on and ends well."""
    child = "import time; time.sleep(0.3); print('written', flush=True); open('done', 'w').close()"
    code = f"""
import asyncio, os, sys
from pathlib import Path
from tailflame.run.process import Child
async def main():
    out, err = Path("stdout.txt"), Path("stderr.txt")
    child = await Child.start((sys.executable, "-c", {child!r}),
        wake=lambda: None, stdout=out, stderr=err, cwd=None, env=dict(os.environ))
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    pid = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True).stdout
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(int(pid))
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)
    assert (tmp_path / "done").exists()
    assert (tmp_path / "stdout.txt").read_text() == "written\n"


def test_handle_signals_and_hears_of_the_end(tmp_path: Path) -> None:
    async def held() -> tuple[bool, bool, int | None]:
        child, woken = await start(tmp_path, "import time; time.sleep(30)")
        ended = asyncio.Event()
        handle = Handle(child.pid, ended.set)
        assert handle.alive
        sent = handle.signal(signal.SIGTERM)
        await asyncio.wait_for(ended.wait(), 10)
        again = handle.signal(signal.SIGTERM)
        await end(child, woken)
        return sent, again, child.returncode

    assert asyncio.run(held()) == (True, False, -signal.SIGTERM)


def test_handle_of_nobody() -> None:
    async def nobody() -> None:
        with pytest.raises(ProcessLookupError):
            Handle(2**22 - 1, lambda: None)

    asyncio.run(nobody())


def test_guard_needs_setpriv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "setpriv").write_text("")
    (tmp_path / "setpriv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert guard("INT") == (str(tmp_path / "setpriv"), "--pdeathsig", "INT", "--")
    monkeypatch.setenv("PATH", "/nowhere")
    assert guard("INT") == ()


def test_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "text"
    tail = Tail(path)
    assert tail.take(partial=True) == ""
    with path.open("ab", buffering=0) as file:
        file.write(b"one\ntw")
        assert tail.take(partial=False) == "one\n"
        assert tail.take(partial=False) == ""
        file.write(b"o\n\xc3")
        assert tail.take(partial=False) == "two\n"
        file.write(b"\xa4")
        assert tail.take(partial=True) == "ä"
