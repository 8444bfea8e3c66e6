"""The program of a function probe: what it is composed of, and that nothing else gets in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.live import probe_program
from tailflame.live.probe_program import ProbeRequest, bpftrace_argv, check_path, compose

LEGACY = "_ZN91_$LT$core..slice..iter..Iter$LT$T$GT$$u20$as$u20$core..iter..Iterator$GT$4next17ha948f1e691a9c75cE"
REQUEST = ProbeRequest(
    binary="/opt/my engine/trading-system",
    symbols=("_RNvCs6GmmlP4bgsG_6engine4work", LEGACY),
    recursive=(False, True),
    pid=4711,
    interval_ms=200,
)


def test_every_function_has_its_maps_and_is_filtered_by_pid() -> None:
    text = REQUEST.program()
    for number, symbol in enumerate(REQUEST.symbols):
        assert f'\nuprobe:"{REQUEST.binary}":"{symbol}" /pid == 4711/' in text
        assert f'\nuretprobe:"{REQUEST.binary}":"{symbol}" /pid == 4711/' in text
        assert f"@h{number}[($b << 7) + ($v >> $b)] = count();" in text
    assert "@e1 = count();" in text and "@e0" not in text
    assert "interval:ms:200 { print((nsecs)); print(@h0); print(@l0); print(@e1); print(@h1); print(@l1);" in text
    assert text.count('reg("sp") - 8') == 4
    assert replace(REQUEST, machine="aarch64").program().count('reg("sp") - 8') == 0
    argv = bpftrace_argv("bpftrace", REQUEST)
    assert argv[:8] == ("bpftrace", "-f", "json", "-B", "none", "-p", "4711", "-e") and argv[8] == text
    assert "-p" not in bpftrace_argv("bpftrace", REQUEST, follow=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"binary": "relative"},
        {"binary": '/opt/a" /1/ { system("id") } uprobe:"/b'},
        {"binary": "/opt/a:b"},
        {"binary": "/opt/a\nb"},
        {"binary": "/opt/a\\b"},
        {"binary": "/opt/*"},
        {"binary": "/opt/../etc/x"},
        {"binary": "/" + "a" * 5000},
        {"binary": None},
        {"symbols": ()},
        {"symbols": ("a", "a")},
        {"symbols": ["a", "b"]},
        {"symbols": ('a" { exit() }', "b")},
        {"symbols": ("a*", "b")},
        {"symbols": ("a b", "b")},
        {"symbols": ("", "b")},
        {"symbols": ("a\n", "b")},
        {"symbols": ("0x1234", "b")},
        {"symbols": ("a+4", "b")},
        {"symbols": (None, "b")},
        {"symbols": tuple(f"f{n}" for n in range(17)), "recursive": ()},
        {"recursive": (True,)},
        {"recursive": (1, 0)},
        {"pid": 0},
        {"pid": -1},
        {"pid": "4711"},
        {"pid": True},
        {"pid": 1 << 23},
        {"interval_ms": 1},
        {"interval_ms": 0.2},
        {"interval_ms": 100_000},
        {"machine": "riscv64"},
    ],
)
def test_whatever_is_not_known_to_be_harmless_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(REQUEST, **wrong).program()  # type: ignore[arg-type]


@given(path=st.text(min_size=1, max_size=60), symbol=st.text(min_size=1, max_size=60))
def test_names_never_leave_their_quotes(path: str, symbol: str) -> None:
    try:
        text = compose(f"/{path}", (symbol,), 1, 200)
    except ValueError:
        return
    lines = [line for line in text.split("\n") if "probe:" in line]
    assert len(lines) == 2 and all(line.count('"') in (4, 6) for line in lines)
    assert text.count("{") == text.count("}")


def test_a_path_may_hold_what_people_name_folders() -> None:
    for path in ("/home/jörg/my engine (1)/target/release/x-y_z+1", "/proc/4711/exe", "/tmp/a'b&c;d,e"):
        check_path(path)


def test_the_module_stands_alone() -> None:
    """A helper that runs as root takes this one file along."""
    code = f"import runpy; print(runpy.run_path({probe_program.__file__!r})['VERSION'])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{probe_program.VERSION}\n", done.stderr


def test_slow_calls_are_told_and_no_others() -> None:
    slow = replace(REQUEST, slow_ns=(100_000, 0), slow_per_s=1000)
    text = slow.program()
    assert text.count("print((0, tid, $s, $e));") == 1 and "print((1, tid" not in text
    assert "if ($v >= 100000) {" in text and "if (@r0 < 200) {" in text
    assert text.count("print(@d0);") == 2 and "@r0 = 0;" in text and "clear(@r0);" in text
    assert "@d1" not in text and "tid" not in REQUEST.program()


@pytest.mark.parametrize(
    "wrong",
    [
        {"slow_ns": (1,)},
        {"slow_ns": [1, 2]},
        {"slow_ns": (1, -1)},
        {"slow_ns": (1, "1) { system(0); }")},
        {"slow_ns": (1, 1 << 41)},
        {"slow_ns": (True, 1)},
        {"slow_per_s": 0},
        {"slow_per_s": 10**6},
        {"slow_per_s": "1"},
    ],
)
def test_a_wrong_threshold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="slow"):
        replace(REQUEST, **wrong).program()  # type: ignore[arg-type]
