"""`doctor`: what can be recorded here, and how to change what cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tailflame.cli import doctor
from tailflame.host.system import Host, Support
from tailflame.tools import TOOLS

Run = Callable[..., Any]
GOOD = Host(
    hostname="box", kernel="6.18.44", arch="x86_64", cpu="AMD EPYC", cpus=2, uid=1000, perf_event_paranoid=2,
    kptr_restrict=1, max_sample_rate=100_000, perf=Path("/usr/bin/perf"), perf_version="6.1.187", user_only=True,
    events=MappingProxyType({"cpu-clock": Support(True), "cycles": Support(False, "no counters in this machine")}),
)  # fmt: skip
REFUSED = Host(perf=Path("/usr/bin/perf"), perf_event_paranoid=4, refused="Access to performance monitoring")
BARE = Host(hostname="box")


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Host], None]:
    return lambda host: monkeypatch.setattr(doctor, "probe_host", lambda: host)


def test_a_machine_that_can_record(tailflame: Run, on: Callable[[Host], None]) -> None:
    on(GOOD)
    run = tailflame("doctor")
    assert run.code == 0
    for text in (
        "6.1.187  /usr/bin/perf",
        "perf_event_paranoid  2",
        "a user may profile own processes, without the kernel",
        "kernel.perf_event_paranoid=1",
        "events that can be sampled  cpu-clock",
        "cycles: no counters in this machine",
        "profiles  ",
        "settings  ",
    ):
        assert text in run.out, text


def test_json_has_the_documented_keys(tailflame: Run, on: Callable[[Host], None]) -> None:
    on(GOOD)
    document = tailflame("doctor", "--json").document
    assert set(document) == {"host", "events", "tools", "findings", "folders", "program"}
    assert set(document["host"]) == {
        "hostname", "kernel", "arch", "cpu", "cpus", "uid", "perf", "perf_version", "perf_event_paranoid",
        "kptr_restrict", "max_sample_rate", "user_only", "default_event",
    }  # fmt: skip
    assert document["host"]["default_event"] == "cpu-clock:u"
    assert [tool["name"] for tool in document["tools"]] == [tool.name for tool in TOOLS]
    assert {"name": "cycles", "available": False, "reason": "no counters in this machine"} in document["events"]
    assert {finding["level"] for finding in document["findings"]} <= {"ok", "note", "warning", "blocker"}
    assert document["folders"]["free_bytes"] > 0
    assert document["program"] is None


@pytest.mark.parametrize(("host", "text"), [(BARE, "perf"), (REFUSED, "refuses performance events")])
def test_a_machine_that_cannot_record_is_status_4_with_a_fix(
    tailflame: Run, on: Callable[[Host], None], host: Host, text: str
) -> None:
    on(host)
    run = tailflame("doctor")
    assert run.code == 4
    (line, fix) = next(
        (a, b) for a, b in zip(run.out.splitlines(), run.out.splitlines()[1:], strict=False) if a.startswith("blocker")
    )
    assert text in line
    assert fix.strip().startswith("fix: ")
    (blocker,) = [f for f in tailflame("doctor", "--json").document["findings"] if f["level"] == "blocker"]
    assert blocker["fix"]


def test_a_program_is_examined_too(tailflame: Run, on: Callable[[Host], None], tmp_path: Path) -> None:
    on(GOOD)
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert "is a script" in tailflame("doctor", script).out
    assert tailflame("doctor", script, "--json").document["program"]["kind"] == "script"
    run = tailflame("doctor", tmp_path / "gone")
    assert run.code == 5
    assert "There is no file" in run.err
