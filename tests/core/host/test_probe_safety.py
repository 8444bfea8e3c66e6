"""What a function probe would break: said of real binaries, and of code as compilers write it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tailflame.errors import TargetError
from tailflame.host import probe_safety
from tailflame.host.functions import Function, functions_of
from tailflame.host.probe_safety import FirstInstruction, calls_itself, first_instruction, judge

C = """
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
volatile long sink;
__attribute__((noinline)) long descend(long n) { sink++; return n > 1 ? n + descend(n - 1) + sink : 1; }
__attribute__((noinline)) long flat(long n) { sink += n; return sink * 3; }
int main(int argc, char **argv) { return descend(argc) + flat(argc) + puts("x"); }
"""
RUST = """
#[inline(never)] fn work(n: usize) -> usize { let v = std::hint::black_box(vec![1usize, 2]); v[n % 3] }
fn main() { println!("{}", work(std::env::args().count())); }
"""
CPP = """
#include <stdexcept>
__attribute__((noinline)) int work(int n) { if (n > 7) throw std::runtime_error("x"); return n * 3; }
int main(int argc, char **) { try { return work(argc); } catch (std::exception &) { return 1; } }
"""
PLAIN_CPP = "struct A { int v; __attribute__((noinline)) int work(int n) { return n * v; } };" + (
    "int main(int argc, char **) { A a{argc}; return a.work(argc); }"
)

x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="code of x86-64")


def compiled(folder: Path, compiler: str, text: str, *options: str) -> Path:
    suffix = {"gcc": "c", "g++": "cpp", "rustc": "rs"}[compiler]
    (folder / f"engine.{suffix}").write_text(text)
    argv = [compiler, *options, "-o", "engine", f"engine.{suffix}"]
    subprocess.run(argv, cwd=folder, check=True, timeout=120, capture_output=True)
    return folder / "engine"


def one(binary: Path, name: str) -> tuple[Function, ...]:
    found = functions_of(binary).match(name)
    assert len(found) == 1
    return found


@x86_64
@pytest.mark.tool("gcc")
def test_c_may_be_probed_and_recursion_is_seen(tmp_path: Path) -> None:
    binary = compiled(tmp_path, "gcc", C, "-O1", "-fno-stack-protector", "-fcf-protection=none")
    verdict = judge(binary, functions_of(binary).match("descend") + functions_of(binary).match("flat"))
    assert verdict.allowed and not verdict.may_accept
    assert [(p.function.name, p.recursive) for p in verdict.probed] == [("descend", True), ("flat", False)]
    assert [p.first for p in verdict.probed][1] is FirstInstruction.STEPPED
    assert "descend: calls itself" in verdict.cautions[0] and "64" in verdict.cautions[0]
    assert "single-step" in verdict.cautions[1]


@x86_64
@pytest.mark.tool("gcc")
def test_endbr64_is_seen(tmp_path: Path) -> None:
    binary = compiled(tmp_path, "gcc", C, "-O1", "-fcf-protection=full")
    assert judge(binary, one(binary, "flat")).probed[0].first is FirstInstruction.ENDBR64


@pytest.mark.tool("rustc", "strip")
def test_rust_that_unwinds_needs_acceptance_and_rust_that_aborts_does_not(tmp_path: Path) -> None:
    binary = compiled(tmp_path, "rustc", RUST, "-C", "opt-level=1")
    verdict = judge(binary, one(binary, "work"))
    assert not verdict.allowed and verdict.may_accept
    assert "panic" in verdict.refusal and 'panic = "abort"' in verdict.advice
    accepted = judge(binary, verdict_functions(verdict), accepted_unwinding=True)
    assert accepted.allowed and "accepted" in accepted.cautions[0]
    subprocess.run(["strip", str(binary)], check=True, timeout=60)
    assert not judge(binary, ()).allowed

    binary = compiled(tmp_path, "rustc", RUST, "-C", "opt-level=1", "-C", "panic=abort")
    assert judge(binary, one(binary, "work")).allowed


def verdict_functions(verdict: probe_safety.Verdict) -> tuple[Function, ...]:
    return tuple(probed.function for probed in verdict.probed)


@pytest.mark.tool("g++")
def test_cpp_that_throws_needs_acceptance(tmp_path: Path) -> None:
    binary = compiled(tmp_path, "g++", CPP, "-O1")
    verdict = judge(binary, one(binary, "work"))
    assert not verdict.allowed and verdict.may_accept and "exception" in verdict.refusal
    assert judge(binary, one(binary, "work"), accepted_unwinding=True).allowed
    static = compiled(tmp_path, "g++", CPP, "-O1", "-static")
    assert not judge(static, one(static, "work")).allowed


@pytest.mark.tool("g++", "gcc")
def test_what_cannot_throw_needs_no_question(tmp_path: Path) -> None:
    binary = compiled(tmp_path, "g++", PLAIN_CPP, "-O1", "-Wl,--as-needed")
    assert judge(binary, one(binary, "A::work")).allowed
    # A static C program holds the unwinder of libgcc, which nobody calls.
    static = compiled(tmp_path, "gcc", C, "-O1", "-static")
    assert judge(static, one(static, "flat")).allowed
    assert "more than once" in judge(static, functions_of(static).match("_setjmp")).refusal


@pytest.mark.tool("gcc")
def test_a_symbol_of_two_functions_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = f"static __attribute__((noinline)) long twin(long n) {{ return n * n; }} long {name}(long n)"
        (tmp_path / f"{name}.c").write_text(text + " { return twin(n) + twin(n + 1); }")
    (tmp_path / "m.c").write_text("long a(long), b(long); int main(int c, char **v) { return a(c) + b(c); }")
    subprocess.run(["gcc", "-O1", "-o", "m", "m.c", "a.c", "b.c"], cwd=tmp_path, check=True, timeout=60)
    twins = functions_of(tmp_path / "m").match("twin")
    assert len(twins) == 2
    assert "several functions with the symbol twin" in judge(tmp_path / "m", twins[1:]).refusal
    assert judge(tmp_path / "m", one(tmp_path / "m", "a")).allowed


@pytest.mark.tool("gcc", "objcopy")
@pytest.mark.parametrize("section", [".gopclntab", ".note.go.buildid"])
def test_go_is_refused_for_good(tmp_path: Path, section: str) -> None:
    binary = compiled(tmp_path, "gcc", C)
    (tmp_path / "data").write_bytes(b"\xff\xff\xff\xfb\x00\x00\x01\x08")
    argv = ["objcopy", "--add-section", f"{section}={tmp_path / 'data'}", str(binary)]
    subprocess.run(argv, check=True, timeout=60)
    verdict = judge(binary, one(binary, "flat"), accepted_unwinding=True)
    assert not verdict.allowed and not verdict.may_accept and "Go" in verdict.refusal


@pytest.mark.tool("gcc")
def test_a_filter_that_would_kill_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = compiled(tmp_path, "gcc", C)
    assert judge(binary, one(binary, "flat"), pid=os.getpid()).allowed or probe_safety._filtered(os.getpid())
    monkeypatch.setattr(probe_safety, "_filtered", lambda pid: True)
    monkeypatch.setattr("platform.release", lambda: "6.12.9-amd64")
    assert "seccomp" in judge(binary, one(binary, "flat"), pid=1).refusal
    monkeypatch.setattr("platform.release", lambda: "6.12.48+deb13-amd64")
    assert judge(binary, one(binary, "flat"), pid=1).allowed


@pytest.mark.parametrize(
    ("release", "kills"),
    [("6.10.9", False), ("6.11.0-arch", True), ("6.12.13", True), ("6.12.14", False), ("6.13.2", True),
     ("6.13.3", False), ("6.14", False), ("6.18.44", False), ("what", False)],
)  # fmt: skip
def test_kernels_whose_filters_kill(release: str, kills: bool) -> None:
    assert probe_safety._seccomp_kills(release) is kills


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("55", "emulated"),  # push rbp
        ("4157", "emulated"),  # push r15
        ("90", "emulated"),
        ("6690", "emulated"),
        ("0f1f440000", "emulated"),  # nop of 5 bytes
        ("e9aabbccdd", "emulated"),  # jmp
        ("7404", "emulated"),  # je
        ("0f84aabbccdd", "emulated"),
        ("f30f1efa55", "endbr64"),
        ("4883ec18", "single-stepped"),  # sub rsp, 24
        ("4889f8", "single-stepped"),  # mov rax, rdi
        ("31c0", "single-stepped"),  # xor eax, eax
        ("4155", "emulated"),
        ("41bd00000000", "single-stepped"),  # mov r13d, 0
        ("0fb6c0", "single-stepped"),  # movzx
        ("c3", "single-stepped"),
        ("", "unknown"),
    ],
)
def test_first_instructions(code: str, expected: str) -> None:
    assert first_instruction(bytes.fromhex(code), "x86_64") == expected
    assert first_instruction(bytes.fromhex(code), "aarch64") is FirstInstruction.UNKNOWN


def test_calls_to_the_own_start_are_recursion() -> None:
    # 116e: ... 1193: e8 d6 ff ff ff call 116e, as gcc 12 wrote it.
    body = bytes.fromhex("488b05b32e00004883c001488905a82e0000b8010000004883ff017e1d534889fb488d7fffe8d6ffffffc3")
    assert calls_itself(body, 0x116E, "x86_64")
    assert not calls_itself(body.replace(b"\xd6\xff\xff\xff", b"\xd7\xff\xff\xff"), 0x116E, "x86_64")
    assert not calls_itself(b"", 0, "x86_64") and not calls_itself(b"\xe8\x00", 0, "x86_64")
    # bl .-8 at 8
    assert calls_itself(bytes.fromhex("1f2003d51f2003d5feffff97"), 0, "aarch64")
    assert not calls_itself(bytes.fromhex("1f2003d51f2003d5ffffff97"), 0, "aarch64")


def test_what_is_no_binary_is_told(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("text", b"hello"), ("broken", b"\x7fELF\x02\x01\x01")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TargetError):
            judge(tmp_path / name, ())
    with pytest.raises(TargetError):
        judge(tmp_path / "nothing", ())
