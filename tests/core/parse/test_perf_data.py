"""perf.data files: recorded ones through the real perf, damaged ones, and a perf that fails."""

from __future__ import annotations

import gzip
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from helpers.environment import DATA
from helpers.perf_report import PerfReport
from tailflame.analyse.reading import cautions as all_cautions
from tailflame.errors import Cancelled, ParseError, TailflameError, ToolFailed, ToolMissing
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.parse import load, perf_cautions, perf_run
from tailflame.parse.debug_info import State
from tailflame.parse.perf_data import PERF_DATA
from tailflame.parse.perf_file import read_perf_file
from tailflame.parse.perf_script import PerfText
from tailflame.parse.source import Source
from tailflame.parse.symbolize import RecordedKernel
from tailflame.parse.symbolize import State as SymbolState

FOLDER = DATA / "perf" / "6.1.187"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
perf = pytest.mark.tool("perf")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home whose cache of binaries holds the recorded one, for perf and for us."""
    home = tmp_path / "home"
    shelf = home / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    shelf.mkdir(parents=True)
    (shelf / "elf").write_bytes((FOLDER / "spin").read_bytes())
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def fake_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a program that is taken for perf."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "perf"


def write(path: Path, body: str) -> None:
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def by_physical_function(profile: StackProfile, event: int = 0) -> Counter[str]:
    """Samples by the function on top, inlined ones folded into the one they are inlined into."""
    found = Counter[str]()
    for row in range(len(profile.samples)):
        if profile.samples.event[row] != event:
            continue
        at = int(profile.samples.stack[row])
        while profile.frames.kind[profile.stacks.frame[at]] == FrameKind.INLINED:
            at = int(profile.stacks.parent[at])
        frame = int(profile.stacks.frame[at])
        if profile.frames.module_of(frame).endswith("/spin"):
            found[profile.frames.name_of(frame)] += 1
    return found


@perf
@pytest.mark.parametrize("name", ["fp", "dwarf", "events", "flat"])
def test_samples_by_physical_function_are_perf_reports(name: str) -> None:
    """Only of the target itself: the C library and the kernel are those of the machine that runs the test."""
    recording = load(FOLDER / f"{name}.data")
    report = PerfReport.read(FOLDER / f"{name}.report.txt")
    profile = profile_of(recording)
    assert recording.format == "perf-data"
    assert [event.name for event in profile.events] == [event.name for event in report.events]
    for number, event in enumerate(report.events):
        assert profile.total(event=number) == event.samples
        assert profile.total(event=number, weight=Weight.PERIOD) == event.period
        theirs = Counter[str]()
        for row in event.rows:
            if row.module == "spin":
                theirs[row.symbol] += row.samples
        assert by_physical_function(profile, number) == theirs
    assert recording.meta.lost == report.lost == 0


@perf
@pytest.mark.parametrize("name", ["fp", "flat", "packed", "pipe"])
def test_inlined_functions_and_lines_come_from_the_debug_information(name: str) -> None:
    frames = profile_of(load(FOLDER / f"{name}.data")).frames
    inlined = {
        frames.name_of(i)
        for i in range(len(frames))
        if frames.kind[i] == FrameKind.INLINED and frames.module_of(i).endswith("/spin")
    }
    if name in ("packed", "pipe"):
        assert inlined == set()  # perf writes no build ids into these: nothing tells which build it was
    else:
        assert inlined == {"twist", "blend"}
        places = {frames.place_of(i) for i in range(len(frames)) if frames.name_of(i) == "twist"}
        assert places <= {f"/src/spin/spin.c:{line}" for line in (12, 13, 14)}


@perf
def test_what_is_known_of_the_run() -> None:
    recording = load(FOLDER / "fp.data")
    meta = recording.meta
    assert (meta.command, meta.tool_version, meta.machine.hostname) == (("./spin",), "6.1.187", "vm")
    assert (meta.rate_asked_hz, meta.rate_granted_hz, meta.lost) == (997, 997, 0)
    assert meta.duration_s == pytest.approx(0.461, abs=0.001)
    assert ("/opt/spin/spin", BUILD_ID) in meta.build_ids
    profile = profile_of(recording)
    assert profile.in_time_order
    assert {thread.name for thread in profile.threads} == {
        *("worker 12", "a", "semi;colon", "(paren) 9", "[cpu] 3.5:", "0x1f"),
    }
    assert all(thread.pid == 22377 and thread.tid > 0 for thread in profile.threads)


@perf
def test_few_samples_are_a_caution() -> None:
    said = [caution.text for caution in all_cautions(load(FOLDER / "fp.data")) if "samples" in caution.text]
    assert said == ["Too few samples: 849 samples of cpu-clock, shares are only rough below 1,000."]


@perf
@pytest.mark.parametrize("suffix", ["data", "gz"])
def test_a_compressed_file_of_any_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whatever.{suffix}"
    path.write_bytes(gzip.compress((FOLDER / "fp.data").read_bytes()))
    recording = load(path)
    assert (recording.format, recording.source) == ("perf-data", str(path))
    assert profile_of(recording).total() == 849


@perf
def test_a_recording_that_was_killed_keeps_its_samples() -> None:
    """perf itself shows none of them."""
    recording = load(FOLDER / "killed.data")
    assert profile_of(recording).total() == 416
    assert any("perf record was killed before it could close killed.data" in c.text for c in recording.warnings)


@perf
@pytest.mark.parametrize(("name", "size"), [("fp.data", 50_001), ("pipe.data", 50_001), ("killed.data", 30_000)])
def test_a_file_that_was_cut_keeps_what_is_there(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / name
    path.write_bytes((FOLDER / name).read_bytes()[:size])
    recording = load(path)
    assert profile_of(recording).total() == read_perf_file(path).tally.samples > 250
    assert recording.warnings[0].text == f"{name} is cut short: only what comes before the cut is shown."


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("fp.data", 90, "it ends within its own header"),
        ("fp.data", 400, "ends before its first sample"),
        ("fp.data", 0, "is empty"),
    ],
)
def test_a_file_that_was_cut_too_early(tmp_path: Path, name: str, size: int, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes((FOLDER / name).read_bytes()[:size])
    with pytest.raises(ParseError, match=sentence):
        load(path, format="perf-data")


@perf
def test_a_file_without_samples() -> None:
    with pytest.raises(ParseError, match="holds no samples: all 24,351 were lost") as caught:
        load(FOLDER / "all-lost.data")
    assert "larger buffer" in caught.value.advice


def test_perf_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissing, match="perf is not installed") as caught:
        load(FOLDER / "dwarf.data")
    assert "linux-perf" in caught.value.advice


def test_perf_is_killed(fake_perf: Path) -> None:
    write(fake_perf, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(ToolFailed, match="killed by signal 9"):
        load(FOLDER / "dwarf.data")


def test_perf_fails(fake_perf: Path) -> None:
    write(fake_perf, "import sys\nprint('incompatible file format', file=sys.stderr)\nsys.exit(234)\n")
    with pytest.raises(ToolFailed, match=r"perf cannot read .*dwarf\.data: incompatible file format") as caught:
        load(FOLDER / "dwarf.data")
    assert "incompatible" in caught.value.details


def test_perf_fails_after_a_while(fake_perf: Path) -> None:
    body = "import sys\nprint('t 7/7 1.500000:  5 cpu-clock: \\n\\t 12 f+0x1 (/x)\\n')\n"
    write(fake_perf, body + "print('broken', file=sys.stderr)\nsys.exit(1)\n")
    recording = load(FOLDER / "dwarf.data")
    assert profile_of(recording).total() == 1
    assert recording.warnings[0].text == "perf script stopped early (broken)."


def test_a_field_that_perf_refuses_is_left_out(fake_perf: Path, tmp_path: Path) -> None:
    write(
        fake_perf,
        "import sys\n"
        "fields = sys.argv[sys.argv.index('-F') + 1].split(',')\n"
        "if 'period' in fields:\n"
        "    sys.exit(\"Samples for 'cpu-clock' event do not have PERIOD set. Cannot print 'period' field.\")\n"
        "print('t 7/7 1.500000: cpu-clock: \\n\\t 12 f+0x1 (/x)\\n')\n",
    )
    reader, ended = perf_run.run_script(
        FOLDER / "dwarf.data", fields=("comm", "period", "ip"), has_chains=True, watch=lambda _: None
    )
    assert (len(reader), ended.code) == (1, 0)


def test_a_chain_that_perf_discards_keeps_its_top(fake_perf: Path) -> None:
    write(
        fake_perf,
        "import sys\n"
        "if '-G' in sys.argv:\n"
        "    assert sys.argv[sys.argv.index('--tid') + 1] == '7'\n"
        "    print('t 7/7 1.500000000: cpu-clock:      559870d9f278 g+0x1 (/x)')\n"
        "    print('t 7/7 1.600000000: cpu-clock:      559870d9f278 h+0x1 (/x)')\n"
        "else:\n"
        "    print('t 7/7 1.500000000:  5 cpu-clock: \\n')\n"
        "    print('t 7/7 1.600000000:  5 cpu-clock: \\n\\t 12 f+0x1 (/x)\\n')\n"
        "    print('t 7/7 1.700000000:  5 cpu-clock: \\n')\n",
    )
    recording = load(FOLDER / "dwarf.data")
    assert any("call chain of 33.3% of the samples is broken" in caution.text for caution in recording.warnings)
    profile = profile_of(recording)
    tops = [profile.frames.name_of(int(profile.stacks.frame[stack])) for stack in profile.samples.stack]
    assert tops == ["g", "f", "t"]
    assert profile.total(weight=Weight.PERIOD) == 15


def test_a_cancel_is_heard_while_perf_is_silent(fake_perf: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    write(fake_perf, f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n")

    def progress(share: float) -> None:
        if note.exists() and note.read_text():
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        PERF_DATA.load(Source(FOLDER / "dwarf.data", progress=progress))
    assert time.monotonic() - began < 30  # it would sleep for a minute
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@perf
def test_progress_grows_to_the_end() -> None:
    for name in ("fp.data", "packed.data"):
        shares: list[float] = []
        load(FOLDER / name, progress=shares.append)
        assert shares == sorted(shares) and shares[-1] == 1.0


def test_perf_is_asked_only_for_what_the_samples_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = perf_run.fields_for(read_perf_file(FOLDER / "fp.data").header.fields)
    assert "cpu" not in fields and {"time", "period", "tid"} <= set(fields)
    assert "cpu" in perf_run.fields_for(frozenset())
    argv = perf_run.script_argv("/usr/bin/perf", Path("/tmp/a b/perf.data"), fields)
    assert argv[:5] == ["/usr/bin/perf", "script", "-f", "-i", "/tmp/a b/perf.data"]
    assert "--no-inline" in argv
    monkeypatch.setenv("LC_NUMERIC", "de_DE.UTF-8")
    monkeypatch.setenv("DEBUGINFOD_URLS", "https://example.org")
    environment = perf_run._environment()
    assert environment["LC_ALL"] == "C" and "LC_NUMERIC" not in environment and "DEBUGINFOD_URLS" not in environment


@perf
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_another_user_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "perf.data"
    path.write_bytes((FOLDER / "fp.data").read_bytes())
    os.chown(path, 65534, 65534)
    recording = load(path)
    assert profile_of(recording).total() == 849
    assert any("belongs to nobody" in caution.text for caution in recording.warnings)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "perf.data"
    path.write_text("main;parse 42\nmain 7\n")
    assert load(path).format == "folded"
    assert PERF_DATA.sniff(b"PERFILE2" + bytes(96), "unknown") == 1.0


def samples(text: str) -> PerfText:
    reader = PerfText(keep_addresses=True)
    reader.feed(text.encode())
    return reader


SAMPLE = "t 7/7 1.500000:  5 cpu-clock: \n{}\n\n"


def cautions(*chains: str, unwound: bool = False) -> list[str]:
    text = "".join(SAMPLE.format("\n".join(f"\t{frame}" for frame in chain.split("|"))) for chain in chains)
    return [c.text for c in perf_cautions.of_samples(samples(text).finish(), unwound=unwound)]


NAMED = "1278 f+0x1 (/x)|1300 _start+0x1 (/x)"


def test_functions_without_names_are_told() -> None:
    assert cautions(*[NAMED] * 99, "12 [unknown] (/lib/libgcc_s.so.1)") == []
    assert cautions(*[NAMED] * 9, "12 [unknown] (/lib/libgcc_s.so.1)") == [
        "10.0% of the samples are in functions without a name (most in libgcc_s.so.1)."
    ]


def test_a_binary_that_is_not_here_need_not_be_built_with_symbols() -> None:
    nameless = samples(SAMPLE.format("\t12 [unknown] (/opt/gone)")).finish()

    def fix(state: SymbolState) -> str:
        (caution,) = perf_cautions.of_samples(nameless, unwound=False, states={"/opt/gone": state})
        assert caution.text == "100.0% of the samples are in functions without a name (most in gone)."
        return caution.fix

    assert fix(SymbolState.MISSING).startswith("It is not here: put the recorded binary back")
    assert fix(SymbolState.CHANGED).startswith("It has been rebuilt since")
    assert fix(SymbolState.NO_DEBUG_INFO).startswith("Build with symbols")


def test_hidden_kernel_names_are_told_once() -> None:
    hidden = "ffffffff81000000 [unknown] ([unknown])|1278 f+0x1 (/x)"
    assert cautions(NAMED, hidden) == ["The kernel's function names are hidden."]
    assert cautions(NAMED, "ffffffff81000000 schedule+0x1 ([kernel.kallsyms])|1278 f+0x1 (/x)") == []


def test_another_kernels_names_are_not_called_hidden() -> None:
    hidden = samples(SAMPLE.format("\tffffffff81000000 [unknown] ([unknown])")).finish()
    kernel = RecordedKernel(release="5.4.0-of-another-machine", anchor="_text", anchor_address=0xFFFFFFFF81000000)
    (caution,) = perf_cautions.of_samples(hidden, unwound=False, kernel=kernel)
    assert caution.text == "The kernel's functions have no names: another kernel runs here than was recorded."
    assert "Before you record" not in caution.fix


def test_stacks_at_the_kernels_limit_are_told() -> None:
    deep = "|".join(["1278 f+0x1 (/x)"] * 127)
    assert cautions(NAMED, deep)[0].startswith("50.0% of the stacks are as deep as the kernel records (127 frames)")
    assert cautions(deep, unwound=True)[0].startswith("100.0% of the stacks end before the function")


def test_stacks_that_were_copied_too_short_are_told() -> None:
    assert cautions(*[NAMED] * 5, unwound=True) == []
    assert cautions("1278 f+0x1 (/x)", NAMED, unwound=True)[0].startswith("50.0% of the stacks end before")
    assert cautions("1278 f+0x1 (/x)", NAMED) == []
    kernel_only = "ffffffff81000000 schedule+0x1 ([kernel.kallsyms])"
    assert cautions(kernel_only, NAMED, unwound=True) == []


def test_lost_samples_and_rebuilt_binaries_are_told() -> None:
    assert perf_cautions.lost_events(715, 1806)[0].text == "715 of 2,521 samples were lost (28.4%)."
    assert perf_cautions.lost_events(0, 10) == ()
    states = {"/a/one": State.CHANGED, "/b/two": State.READ, "/c/three": State.CHANGED}
    (caution,) = perf_cautions.of_modules(states, demangled=True)
    assert caution.text.startswith("one and three have been rebuilt since this was recorded")
    assert perf_cautions.of_modules({"/b/two": State.NO_DEBUG_INFO}, demangled=True) == ()
    assert "c++filt is missing" in perf_cautions.of_modules({}, demangled=False)[0].text


def test_servers_are_offered_where_debug_information_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILFLAME_DEBUGINFOD", raising=False)
    monkeypatch.setenv("DEBUGINFOD_URLS", "https://debuginfod.debian.net")
    states = {"/b/one": State.MISSING, "/b/two": State.NO_DEBUG_INFO, "/b/three": State.READ}
    (caution,) = perf_cautions.of_modules(states, demangled=True)
    assert caution.text.startswith("one and two have no debug information here")
    monkeypatch.setenv("TAILFLAME_DEBUGINFOD", "yes")
    assert perf_cautions.of_modules(states, demangled=True) == ()


def test_another_architecture_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    file = read_perf_file(FOLDER / "fp.data")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert perf_cautions.of_file(file, 849) == ()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    (caution,) = perf_cautions.of_file(file, 849)
    assert "x86_64; this machine is aarch64" in caution.text


def test_every_failure_is_a_sentence(tmp_path: Path) -> None:
    for size in (8, 17, 104, 300):
        path = tmp_path / "perf.data"
        path.write_bytes((FOLDER / "fp.data").read_bytes()[:size])
        with pytest.raises(TailflameError) as caught:
            load(path, format="perf-data")
        assert caught.value.sentence.endswith(".") and caught.value.advice
