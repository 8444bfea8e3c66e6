"""Readable names, as perf shows them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.parse.symbolize import demangle
from tailflame.parse.symbolize.demangle import Demangler, is_mangled

READABLE = {
    "_ZN4core3ptr5write17h9ef3537667283fd3E": "core::ptr::write",
    "_ZN4core3ptr5write17h9ef3537667283fd3E.llvm.1234": "core::ptr::write",
    "_ZN5alloc3vec16Vec$LT$T$C$A$GT$14extend_trusted17hbf00ccfbe62a81e9E": "alloc::vec::Vec<T,A>::extend_trusted",
    "_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3new": "<std::path::PathBuf>::new",
    "_ZNSt6vectorIiSaIiEE9push_backERKi": "std::vector<int, std::allocator<int> >::push_back",
    "_ZNSt6vectorIiSaIiEE9push_backERKi.constprop.0": "std::vector<int, std::allocator<int> >::push_back",
    "_ZNSs6appendEv": "std::string::append",
}


@pytest.mark.tool("c++filt")
def test_names_are_demangled_as_perf_shows_them() -> None:
    demangler = Demangler()
    assert demangler.names([*READABLE, "main", "_Znot mangled", "_start", ""]) == READABLE
    assert demangler.complete
    assert demangler.names(["_ZNSs6appendEv"]) == {"_ZNSs6appendEv": "std::string::append"}
    assert demangler.names([]) == {}


@pytest.mark.tool("c++filt")
def test_the_demangler_is_started_once_for_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    started = 0
    run = demangle._run

    def counted(*arguments: object) -> list[str] | None:
        nonlocal started
        started += 1
        return run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(demangle, "_run", counted)
    names = [f"_ZN4book{len(str(n)) + 1}f{n}E" for n in range(50_000)]
    found = Demangler().names(names)
    assert started == 1
    assert found[names[123]] == "book::f123"
    assert len(found) == len(names)


def test_without_a_demangler_names_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    demangler = Demangler()
    assert demangler.names(["main"]) == {}
    assert demangler.complete
    assert demangler.names(["_ZNSs6appendEv"]) == {}
    assert not demangler.complete


@pytest.mark.tool("c++filt")
def test_a_name_that_stands_for_petabytes_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair is made of twice the one before it."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    bomb = f"_Z1fISt4pairIiiE{''.join(f'S0_IS{digit}_S{digit}_E' for digit in digits[1:])}Evv"
    monkeypatch.setattr(demangle, "_TIMEOUT_S", 4.0)
    before = time.monotonic()
    found = Demangler().names(["_ZNSs6appendEv", bomb, "_ZNSs5clearEv"])
    assert time.monotonic() - before < 60
    assert found.get("_ZNSs5clearEv", "std::string::clear") == "std::string::clear"
    assert bomb not in found


@pytest.mark.parametrize(
    "program",
    [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\necho one; echo two; echo three; echo four; echo five\n",
        "#!/bin/sh\nexec sleep 600\n",
        "#!/bin/sh\nexec yes\n",
    ],
)
def test_a_demangler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    tool = tmp_path / "c++filt"
    tool.write_text(program)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(demangle, "_TIMEOUT_S", 1.0)
    assert Demangler().names(["_ZNSs6appendEv", "_ZNSs5clearEv", "_ZNSs5eraseEv"]) == {}


@pytest.mark.tool("c++filt")
@settings(max_examples=15)
@given(
    st.lists(st.one_of(st.text(max_size=20), st.from_regex(r"_[ZR][A-Za-z0-9_.$]{1,40}", fullmatch=True)), max_size=30)
)
def test_any_names(names: list[str]) -> None:
    found = Demangler().names(names)
    assert set(found) == {name for name in names if is_mangled(name)}
