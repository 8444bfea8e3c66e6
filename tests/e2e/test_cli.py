"""The command line with the real perf and the demo target, as a user types it."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailflame.cli.main import main
from tailflame.store import Library, SessionState, load_settings, profiles_folder

pytestmark = pytest.mark.tool("perf")

SCRIPT = str(Path(sys.executable).with_name("tailflame"))
BUSY = ("sh", "-c", "while :; do :; done")
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do :; done")


@pytest.fixture
def library() -> Library:
    return Library(profiles_folder(load_settings().settings))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A command in this process; its JSON document."""

    def call(*words: str | Path, code: int = 0) -> Any:
        capsys.readouterr()
        status = main([*map(str, words), "--json"] if "--" not in words else _with_json(words))
        printed = capsys.readouterr()
        assert status == code, printed.err
        return json.loads(printed.out)

    return call


def _with_json(words: tuple[str | Path, ...]) -> list[str]:
    at = words.index("--")
    return [*map(str, words[:at]), "--json", *map(str, words[at:])]


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """The console script in a process of its own, which does not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Waits for something outside of this process."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as clock:
        while time.monotonic() < end:
            answer = condition()
            if answer:
                return answer
            clock.select(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


def recording_in(library: Library) -> Path | None:
    """The folder of the session that is being recorded, once samples are in its file."""
    for info in library.sessions():
        data = info.path / "perf.data"
        if info.state is SessionState.RECORDING and data.exists() and data.stat().st_size > 100_000:
            return info.path
    return None


def test_the_whole_way_from_a_recording_to_a_named_regression(
    run: Callable[..., Any], demo_binary: Path, library: Library, tmp_path: Path
) -> None:
    switches = ("--mode", "benchmark", "--seconds", "6", "--slow-path", "2000")
    first = run("record", "--baseline", "--", demo_binary, *switches)
    assert first["session"]["baseline"] is True
    assert first["session"]["cargo_profile"] == "release-with-debug"
    assert first["session"]["samples"] > 1000
    assert first["session"]["build_id"]
    assert first["session"]["exit_code"] == 0

    shown = run("show", "baseline", "-n", "10")
    assert shown["result"]["command"][0] == str(demo_binary)
    assert shown["result"]["machine"]["kernel"] == os.uname().release
    assert shown["result"]["rate_asked_hz"]
    names = [row["name"] for row in shown["hotspots"]]
    assert "trading_system::risk::check_exposure" in names[:3]
    assert all(row["module"].endswith("trading-system") for row in shown["hotspots"] if "trading_system" in row["name"])
    risk = next(row for row in shown["hotspots"] if row["name"].endswith("check_exposure"))
    assert risk["file"].endswith("risk.rs")

    # One run a side: on a busy machine its neighbours alone slow one kind of code more than another, by up to a third.
    run("record", "--", demo_binary, *switches, "--regress", "120")
    compared = run("diff", "--fail-on-regression", "--tolerate", "5", code=1)
    assert "trading_system::risk::check_exposure" in compared["regressions"], compared["verdict"]
    row = next(row for row in compared["functions"] if row["name"].endswith("check_exposure"))
    assert 0.5 < row["change"] < 2.5

    folder = Path(first["session"]["path"])
    (drawing,) = folder.glob("cpu_flamegraph_*.svg")
    assert re.fullmatch(r"cpu_flamegraph_\d{8}_\d{6}\.svg", drawing.name)
    for form in ("svg", "folded", "speedscope", "firefox", "pprof", "json"):
        written = run("export", "baseline", "--to", form, "-o", tmp_path / f"out.{form}")
        assert written["bytes"] > 1000
    for again in (drawing, *(tmp_path / f"out.{form}" for form in ("svg", "folded", "speedscope", "firefox", "pprof"))):
        back = run("show", again, "--inlines", "-n", "5")
        kept = run("show", "baseline", "--inlines", "-n", "5")
        assert [(r["name"], r["self"]) for r in back["hotspots"]] == [(r["name"], r["self"]) for r in kept["hotspots"]]
        assert back["view"]["total"] == kept["view"]["total"]


def test_several_events_have_a_weight_each(run: Callable[..., Any], demo_binary: Path) -> None:
    run("record", "-e", "cpu-clock,page-faults", "--", demo_binary, "--mode", "benchmark", "--seconds", "1", "--churn")
    events = [event["name"] for event in run("show")["events"]]
    assert len(events) == 2
    shown = run("show", "--event", "page-faults")
    assert shown["view"]["event"].startswith("page-faults")
    assert shown["view"]["total"] > 0


@pytest.mark.parametrize(
    ("script", "status", "sentence"),
    [("exit 0", 0, "finished"), ("exit 7", 7, "exited with code 7"), ("kill -SEGV $$", 139, "killed by SIGSEGV")],
)
def test_the_end_of_the_target_is_a_result(run: Callable[..., Any], script: str, status: int, sentence: str) -> None:
    busy = f"i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; {script}"
    document = run("record", "--exit-code", "--", "sh", "-c", busy, code=status)
    assert document["session"]["exit_code"] == status
    assert document["session"]["state"] == "complete"
    assert sentence in run("show")["result"]["outcome"]


def test_ctrl_c_keeps_what_was_recorded(started: Callable[..., Any], library: Library) -> None:
    process = started("record", "--json", "--", *BUSY)
    until(lambda: recording_in(library), "a recording")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping; what was recorded is kept" in err
    assert "Traceback" not in err
    document = json.loads(out)
    assert document["session"]["outcome"].startswith("stopped by you")
    assert document["session"]["samples"] > 0


def test_a_second_ctrl_c_keeps_nothing(started: Callable[..., Any], library: Library) -> None:
    process = started("record", "--", *STUBBORN)
    until(lambda: recording_in(library), "a recording")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("stopping"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert library.sessions() == ()


def test_ctrl_c_ends_the_reading_of_a_large_file(started: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "large.folded"
    with path.open("w") as stream:
        for number in range(1_500_000):
            stream.write(f"main;a{number % 997};b{number % 1009};c{number % 1013};d{number} 1\n")
    process = started("show", str(path))
    # The file is open once the reading has begun.
    until(lambda: _has_open(process.pid, path), "the reading")
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (out, err) == ("", "tailflame: Cancelled.\n")
    assert time.monotonic() - asked < 5


def _has_open(pid: int, path: Path) -> bool:
    try:
        return any(os.readlink(link) == str(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_what_was_recorded_when_tailflame_was_killed_is_read_later(
    started: Callable[..., Any], run: Callable[..., Any], library: Library
) -> None:
    process = started("record", "--", *BUSY)
    until(lambda: recording_in(library), "a recording")
    process.kill()
    process.communicate()
    # perf is told of the death, ends the target and completes its file.
    until(lambda: library.sessions()[0].state is SessionState.INTERRUPTED, "the end of perf")
    shown = run("show", "latest")
    assert shown["view"]["samples"] > 0
    assert any("interrupted" in caution["text"] for caution in shown["result"]["cautions"])
    (info,) = library.sessions()
    assert info.state is SessionState.COMPLETE


def test_what_was_on_disk_when_the_power_went_is_read_later(
    started: Callable[..., Any], run: Callable[..., Any], library: Library, tmp_path: Path
) -> None:
    process = started("record", "--", *BUSY)
    folder = until(lambda: recording_in(library), "a recording")
    # What a disk holds in the middle: perf has not completed its file, and nobody of that boot is alive.
    cut = tmp_path / "after" / folder.name
    shutil.copytree(folder, cut)
    document = json.loads((cut / "session.json").read_text())
    for owner in ("owner", "tool_owner"):
        document[owner]["boot"] = "the boot before"
    (cut / "session.json").write_text(json.dumps(document))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    (row,) = run("list", "--profiles", cut.parent)["sessions"]
    assert row["state"] == "interrupted"
    shown = run("show", cut, "--profiles", cut.parent)
    assert shown["view"]["samples"] > 0
    assert any("interrupted" in caution["text"] for caution in shown["result"]["cautions"])


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (None, 0, "There is no file"),
        (b"", 0o755, "is empty"),
        (b"\x7fELF\x02\x01\x01", 0o644, "is not executable"),
    ],
)
def test_a_program_that_cannot_run_is_status_5(
    tmp_path: Path, library: Library, content: bytes | None, mode: int, sentence: str
) -> None:
    program = tmp_path / "book"
    if content is not None:
        program.write_bytes(content)
        program.chmod(mode)
    done = subprocess.run([SCRIPT, "record", "--", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert sentence in done.stderr
    assert "  fix: " in done.stderr
    assert "Traceback" not in done.stderr
    assert library.sessions() == ()


def test_a_cut_recording_is_a_sentence_or_a_caution(run: Callable[..., Any], tmp_path: Path) -> None:
    document = run("record", "-d", "0.5", "--", *BUSY)
    whole = Path(document["session"]["path"], "perf.data").read_bytes()
    for keep in (0, 50, 104, len(whole) // 2):
        path = tmp_path / f"cut-{keep}.data"
        path.write_bytes(whole[:keep])
        done = subprocess.run([SCRIPT, "show", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3)
        assert "Traceback" not in done.stderr
        if done.returncode:
            assert done.stderr.startswith("tailflame: ")
        else:
            assert "! " in done.stdout


def test_the_doctor_knows_this_machine(run: Callable[..., Any]) -> None:
    document = run("doctor")
    assert document["host"]["kernel"] == os.uname().release
    assert document["host"]["perf_version"]
    assert any(event["available"] for event in document["events"])


def test_the_demo_records_draws_and_tells_the_percentiles(run: Callable[..., Any], demo_binary: Path) -> None:
    document = run("demo", "--seconds", "2")
    assert (document["kind"], document["reason"]) == ("recording", "")
    assert document["hotspots"][0]["self_share"] > 0.05
    tags = {row["tag"]: row for row in document["latencies"]}
    assert {"", "validation", "risk_check", "execution"} <= set(tags)
    figures = tags[""]["percentiles"]
    assert list(figures) == ["p50", "p90", "p95", "p99", "p99.9", "p99.99"]
    assert 0 < figures["p50"] <= figures["p99.99"]
    assert Path(document["flame_graph"]).is_file()
    assert (Path(document["session"]["path"]) / "latency.hlog").is_file()
    kept = run("show", "latest")
    assert [row["tag"] for row in kept["latencies"]] == [row["tag"] for row in document["latencies"]]
