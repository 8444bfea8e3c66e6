"""Between drafts and core: what can be chosen here, the plan that a form stands for, rates, facts in words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.host.binary import BinaryFacts, Kind
from tailflame.host.install import install_command
from tailflame.host.processes import ProcessSample
from tailflame.host.system import EVENTS, Host, Support
from tailflame.tools import CallGraph, CargoKind, CargoOptions, Finding, PerfOptions
from tailflame.tools import Level as Grade
from tailflame_gui import record_facts, tool_facts
from tailflame_gui.record_facts import OwnCost, Rates, Undecided
from tailflame_gui.record_model import (
    CARGO_FLAMEGRAPH,
    CargoChoice,
    CheckRow,
    Draft,
    OptionsDraft,
    TargetDraft,
    ToolChoice,
)
from tailflame_gui.rows import Level

BARE = Host(
    perf=Path("/usr/bin/perf"),
    perf_version="6.1",
    uid=1000,
    max_sample_rate=100_000,
    events=dict.fromkeys(EVENTS, Support(True)),
    lbr=Support(True),
)
NO_COUNTERS = "the processor's counters are not available here"
VIRTUAL = replace(
    BARE,
    events={name: Support("clock" in name or "faults" in name, NO_COUNTERS) for name in EVENTS},
    lbr=Support(False, "no branch records"),
)
DRAFT = Draft(TargetDraft(binary="/p/engine", arguments="--seconds 3"), OptionsDraft(call_graph="fp"))


def perf(host: Host) -> ToolChoice:
    return tool_facts.tool_choices(host)[0]


def test_everything_can_be_chosen_where_everything_works() -> None:
    tool = perf(BARE)
    assert tool.available and tool.version == "6.1" and tool.max_frequency == 100_000
    assert [choice.value for choice in tool.call_graphs] == ["fp", "dwarf", "lbr", "none"]
    assert all(choice.available for choice in (*tool.call_graphs, *tool.events))
    asked_for = ["cycles", "instructions", "cache-misses", "branch-misses", "cpu-clock", "page-faults"]
    assert {*asked_for, "context-switches"} <= {choice.value for choice in tool.events}
    assert {choice.group for choice in tool.events} == {"Processor", "Kernel"}
    assert all(choice.tip for choice in (*tool.call_graphs, *tool.events))


def test_what_cannot_work_is_off_with_the_reason() -> None:
    tool = perf(VIRTUAL)
    off = {choice.value: choice.reason for choice in (*tool.call_graphs, *tool.events) if not choice.available}
    assert off["cycles"] == NO_COUNTERS
    assert off["lbr"] == "no branch records"
    assert "cpu-clock" not in off and "fp" not in off


def test_a_missing_or_refused_perf_is_off_with_the_fix() -> None:
    missing = perf(Host())
    assert (missing.available, missing.reason) == (False, "perf is not installed")
    assert "perf" in missing.fix
    refused = perf(replace(BARE, refused="Access to performance monitoring … is limited"))
    assert not refused.available
    assert refused.reason == "the kernel refuses performance events to this user"


def test_cargo_flamegraph_takes_one_event_and_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda _host, name: Path("/usr/bin", name))
    _, tool, *_ = tool_facts.tool_choices(BARE)
    assert tool.available and tool.needs_project and not tool.many_events
    assert "none" not in [choice.value for choice in tool.call_graphs]
    monkeypatch.setattr(Host, "has_tool", lambda _host, name: None if name == "cargo-flamegraph" else Path("/x"))
    _, tool, *_ = tool_facts.tool_choices(BARE)
    assert (tool.available, tool.reason) == (False, "cargo-flamegraph is not installed")
    assert tool.fix == install_command("cargo-flamegraph")


def test_the_defaults_fit_machine_and_binary() -> None:
    facts = BinaryFacts(path=Path("/p/engine"), kind=Kind.ELF, frame_pointers=True)
    assert tool_facts.default_options(BARE, facts) == OptionsDraft(call_graph="fp", events=("cycles",))
    assert tool_facts.default_options(VIRTUAL, None) == OptionsDraft(call_graph="dwarf", events=("cpu-clock",))
    assert OptionsDraft().frequency == PerfOptions().frequency == 1999


def test_a_draft_becomes_a_target_and_options() -> None:
    draft = Draft(
        TargetDraft(
            binary="/p/../p/engine",
            arguments="--title 'a b'",
            directory="/run",
            environment=(("A", "1"), ("B", "")),
            duration_s=2.5,
        ),
        OptionsDraft(call_graph="lbr", frequency=99, events=("cycles", "page-faults"), extra="--switch-events -z"),
    )
    wish = record_facts.wish_of(draft, BARE)
    assert (wish.target.argv, wish.target.cwd) == (("/p/engine", "--title", "a b"), Path("/run"))
    assert wish.target.env == {"A": "1", "B": ""}
    assert wish.options == PerfOptions(
        call_graph=CallGraph.LBR,
        frequency=99,
        events=("cycles", "page-faults"),
        duration_s=2.5,
        extra=("--switch-events", "-z"),
    )
    assert wish.tool.name == "perf-record"


def test_time_off_the_cpu_becomes_an_option_of_perf() -> None:
    draft = replace(DRAFT, options=replace(DRAFT.options, off_cpu=True))
    options = record_facts.wish_of(draft, BARE).options
    assert isinstance(options, PerfOptions) and options.off_cpu


def test_events_say_where_they_see_user_space_alone() -> None:
    draft = replace(DRAFT, options=OptionsDraft(events=("cycles", "cycles:k", "cpu/event=0xc2/")))
    wish = record_facts.wish_of(draft, replace(BARE, user_only=True))
    assert isinstance(wish.options, PerfOptions)
    assert wish.options.events == ("cycles:u", "cycles:k", "cpu/event=0xc2/")


def test_a_larger_buffer_is_for_those_who_may() -> None:
    for uid, large in ((0, True), (1000, False)):
        options = record_facts.wish_of(DRAFT, replace(BARE, uid=uid)).options
        assert isinstance(options, PerfOptions) and options.large_buffer is large


PROJECT = Draft(
    TargetDraft(project="/p", arguments="--fast", cargo_kind="bench", cargo_name="book", cargo_package="engine"),
    OptionsDraft(tool=CARGO_FLAMEGRAPH, profile="", features="jemalloc, simd", events=("cpu-clock",)),
)


def test_a_project_becomes_a_cargo_target() -> None:
    wish = record_facts.wish_of(PROJECT, BARE, target_folder=Path("/builds"))
    options = wish.options
    assert isinstance(options, CargoOptions)
    assert (options.project, options.kind, options.name, options.package) == (
        Path("/p"),
        CargoKind.BENCH,
        "book",
        "engine",
    )
    assert (options.features, options.event) == (("jemalloc", "simd"), "cpu-clock")
    assert wish.target.binary == Path("/builds/release/deps/book")
    assert wish.tool.name == "cargo-flamegraph"


@pytest.mark.parametrize(
    ("kind", "profile", "place"),
    [
        ("bin", "", "/p/target/release/book"),
        ("bin", "release-with-debug", "/p/target/release-with-debug/book"),
        ("example", "dev", "/p/target/debug/examples/book"),
        ("test", "release", "/p/target/release/deps/book"),
    ],
)
def test_where_cargo_puts_it(kind: str, profile: str, place: str) -> None:
    draft = Draft(replace(PROJECT.target, cargo_kind=kind), replace(PROJECT.options, profile=profile))
    assert record_facts.wish_of(draft, BARE).target.binary == Path(place)


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        (Draft(), "Choose a program."),
        (Draft(options=OptionsDraft(tool=CARGO_FLAMEGRAPH)), "Choose a cargo project."),
        (Draft(TargetDraft(binary="/b", arguments="'")), "The arguments cannot be split yet: a quote is not closed."),
        (
            Draft(TargetDraft(binary="/b"), OptionsDraft(extra='"')),
            "The tool’s further arguments cannot be split yet: a quote is not closed.",
        ),
        (Draft(TargetDraft(binary="/b"), OptionsDraft(events=())), "Choose an event."),
        (Draft(TargetDraft(binary="/b"), OptionsDraft(call_graph="nonsense")), "Choose a call graph."),
    ],
)
def test_what_is_missing_is_said(draft: Draft, sentence: str) -> None:
    with pytest.raises(Undecided) as caught:
        record_facts.wish_of(draft, BARE)
    assert caught.value.sentence == sentence


def test_the_command_is_the_one_that_will_run(tmp_path: Path) -> None:
    draft = Draft(
        TargetDraft(
            binary=sys.executable,
            arguments="-c 'print(1)'",
            directory=str(tmp_path),
            environment=(("RUST_LOG", "info"),),
            duration_s=10,
        ),
        OptionsDraft(call_graph="fp"),
    )
    made = record_facts.assess(draft, BARE, tmp_path / "profiles")
    wish = record_facts.wish_of(draft, BARE)
    real = wish.plan(tmp_path / "profiles" / "20261124_120455_engine_perf-record")
    assert made.command_line.replace("SESSION", "20261124_120455_engine_perf-record") == real.command_line
    assert made.command_line.startswith(f"cd {tmp_path} && RUST_LOG=info perf record -k CLOCK_MONOTONIC -F 1999 ")
    assert made.to_copy == made.command_line.replace(f"{tmp_path}/profiles/SESSION/", "")
    assert made.note == f"SESSION is the folder that is made for it in {tmp_path}/profiles. " + (
        "The program gets SIGTERM after 10.0 s."
    )
    assert made.ready and made.facts


def test_a_blocker_is_why_it_cannot_run(tmp_path: Path) -> None:
    missing = Draft(TargetDraft(binary=str(tmp_path / "missing")))
    made = record_facts.assess(missing, BARE, tmp_path)
    assert not made.ready
    assert made.problem == made.open[0].title == f"There is no file {tmp_path / 'missing'}."
    assert made.open[0].fix == "Was it built? Check the path."
    assert made.command_line  # it is shown all the same


def test_without_a_program_the_machine_is_checked(tmp_path: Path) -> None:
    made = record_facts.assess(Draft(), Host(), tmp_path)
    assert (made.command_line, made.problem) == ("", "Choose a program.")
    assert any("perf is not installed" in check.title for check in made.open)
    there = record_facts.assess(Draft(), VIRTUAL, tmp_path)
    assert not any("is not installed" in check.title for check in there.checks)


def test_a_finding_becomes_a_line_with_its_fix() -> None:
    both = Finding(Grade.BLOCKER, "No perf.", "Why.", "Install it:", ("sudo", "apt", "install", "linux perf"))
    assert record_facts.check_row(both) == CheckRow(
        Level.ERROR, "No perf.", "Why.", "Install it:", "sudo apt install 'linux perf'"
    )
    same = Finding(Grade.NOTE, "No cargo.", "", "cargo build", ("cargo", "build"))
    assert record_facts.check_row(same) == CheckRow(Level.NOTE, "No cargo.", command="cargo build")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {
                "path": Path("/p/target/release-with-debug/engine"),
                "language": "rust",
                "frame_pointers": True,
                "has_symbols": True,
                "has_debug_info": True,
                "size": 28_100_000,
            },
            "Rust, release-with-debug, frame pointers, debug information, 28.1 MB",
        ),
        ({"has_symbols": True, "frame_pointers": False, "size": 900}, "no frame pointers, symbols, 900 B"),
        ({"debug_build": True, "language": "c++", "size": 900}, "C++, debug build, stripped, 900 B"),
        ({"kind": Kind.SCRIPT, "interpreter": "python3"}, "a script for python3"),
        ({"kind": Kind.OTHER}, ""),
    ],
)
def test_facts_in_words(facts: dict[str, object], words: str) -> None:
    made = BinaryFacts(**{"path": Path("/bin/engine"), "kind": Kind.ELF, **facts})  # type: ignore[arg-type]
    assert record_facts.facts_line(made) == words


def test_paths_that_begin_so(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    for name, mode in (("book", 0o755), ("book.d", 0o644), (".hidden", 0o755)):
        (tmp_path / name).touch(mode)
    assert record_facts.paths_like(f"{tmp_path}/b") == (f"{tmp_path}/bench/", f"{tmp_path}/book")
    assert record_facts.paths_like(f"{tmp_path}/") == (f"{tmp_path}/bench/", f"{tmp_path}/book")
    assert record_facts.paths_like(f"{tmp_path}/.h") == (f"{tmp_path}/.hidden",)
    assert record_facts.paths_like(f"{tmp_path}/none/x") == ()
    assert record_facts.paths_like("") == ()


def test_relative_paths_complete_from_where_tailflame_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine").touch(0o755)
    monkeypatch.chdir(tmp_path)
    assert record_facts.paths_like("./en") == ("./engine",)
    assert record_facts.paths_like("en") == ("engine",)


def test_a_name_without_a_slash_is_looked_up_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert record_facts.program("sh").name == "sh" and record_facts.program("sh").is_absolute()
    (tmp_path / "sh").touch(0o755)
    assert record_facts.program("sh") == tmp_path / "sh"
    assert record_facts.program("./x") == tmp_path / "x"
    assert record_facts.program("nowhere") == tmp_path / "nowhere"


def test_the_home_folder_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "engine").touch(0o755)
    assert record_facts.paths_like("~/e") == ("~/engine",)
    assert record_facts.home_short(tmp_path / "profiles") == "~/profiles"
    assert record_facts.home_short(Path("/opt")) == "/opt"


@pytest.mark.tool("cargo")
def test_a_project_offers_its_targets_and_profiles(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text(
        '[package]\nname = "book"\nversion = "0.1.0"\nedition = "2021"\n[profile.dev]\n[profile.release-with-debug]\n'
        'inherits = "release"\n'
    )
    for place in ("src/main.rs", "tests/orders.rs", "benches/path.rs", "examples/show.rs"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("fn main() {}\n")
    project = record_facts.read_project(tmp_path)
    assert set(project.choice.targets) == {
        CargoChoice("bin", "book", "book"),
        CargoChoice("test", "orders", "book"),
        CargoChoice("bench", "path", "book"),
        CargoChoice("example", "show", "book"),
    }
    assert project.choice.profiles == ("release", "release-with-debug")
    assert project.target_folder == tmp_path / "target"


@pytest.mark.tool("cargo")
def test_a_project_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "Cargo.toml").write_text("[package\n")
    project = record_facts.read_project(tmp_path)
    assert project.choice.problem == f"cargo cannot read the project in {tmp_path}."
    assert project.choice.fix
    assert project.choice.targets == ()


def sample(time_s: float, **figures: int | None) -> ProcessSample:
    plain = dict.fromkeys(("rss", "threads", "processes", "voluntary", "involuntary"), 0)
    plain |= dict.fromkeys(("minor_faults", "major_faults", "read_bytes", "write_bytes"), 0)
    return ProcessSample(time_s=time_s, cpu_percent=50.0, cpu_s=time_s / 2, **{**plain, **figures})  # type: ignore[arg-type]


def test_counts_become_rates() -> None:
    rates = Rates()
    first = rates.of(sample(0.0, voluntary=100, threads=3, rss=5000))
    assert (first.voluntary, first.threads, first.rss, first.cpu_percent) == (None, 3, 5000, 50.0)
    second = rates.of(sample(0.5, voluntary=110, involuntary=4, minor_faults=30, read_bytes=1000, write_bytes=2000))
    assert (second.voluntary, second.involuntary, second.minor_faults) == (20, 8, 60)
    assert (second.read_bytes, second.write_bytes, second.major_faults) == (2000, 4000, 0)
    assert second.io_permitted


def test_what_the_kernel_does_not_tell_is_no_zero() -> None:
    rates = Rates()
    rates.of(sample(0.0))
    hidden = rates.of(sample(1.0, read_bytes=None, write_bytes=None))
    assert (hidden.read_bytes, hidden.write_bytes, hidden.io_permitted) == (None, None, False)
    assert rates.of(sample(2.0, read_bytes=5000)).read_bytes is None  # since when?
    assert rates.of(sample(2.0)).voluntary is None  # no time has passed


def test_our_own_cost_counts_this_process_and_its_tools() -> None:
    cost = OwnCost()
    spin = "import time\nwhile True: pass"
    child = subprocess.Popen([sys.executable, "-c", spin])
    try:
        began = time.monotonic()
        assert cost.look(began) == ""
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        told = cost.look(time.monotonic())
    finally:
        child.kill()
        child.wait()
    words = told.replace(",", "").split()
    assert words[0] == "window" and float(words[1].rstrip("%")) > 0
    assert words[2].startswith("python") and words[3].endswith("%")
    assert os.getpid() != child.pid
