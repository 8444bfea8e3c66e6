"""One line of a call chain, in each form that perf prints it."""

# ruff: noqa: E501 (perf's lines are as long as they are)

from __future__ import annotations

import pytest

from tailflame.model import FrameKind
from tailflame.parse.perf_frames import PerfFrame, frame_table, frames_of, rust_name

USER, KERNEL, INLINED, JIT = FrameKind.USER, FrameKind.KERNEL, FrameKind.INLINED, FrameKind.JIT


def only(line: str) -> PerfFrame:
    found = frames_of(line)
    assert found is not None and len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("line", "name", "module", "kind"),
    [
        ("\t            1278 leaf+0x18 (/tmp/t)", "leaf", "/tmp/t", USER),
        ("\t            1278 leaf (/tmp/t)", "leaf", "/tmp/t", USER),
        ("\t            1278 leaf+0x18", "leaf", "", USER),
        ("\tffffffff822010c9 do_idle+0x19 ([kernel.kallsyms])", "do_idle", "[kernel.kallsyms]", KERNEL),
        ("\tffffffff81aebbfe start_kernel ([kernel.kallsyms].init.text)", "start_kernel", "[kernel.kallsyms].init.text", KERNEL),
        ("\t8c3453 tcp_sendmsg (/lib/modules/4.3.0/build/vmlinux)", "tcp_sendmsg", "/lib/modules/4.3.0/build/vmlinux", KERNEL),
        ("\tffffffff00001234 f (vmlinux-5.4.14-x)", "f", "vmlinux-5.4.14-x", KERNEL),
        ("\t    1234 xfs_read (/lib/modules/6.1/kernel/fs/xfs.ko)", "xfs_read", "/lib/modules/6.1/kernel/fs/xfs.ko", KERNEL),
        ("\t    1234 xfs_read (/lib/modules/6.1/xfs.ko.xz)", "xfs_read", "/lib/modules/6.1/xfs.ko.xz", KERNEL),
        ("\t    1234 xfs_read (/lib/modules/6.1/xfs.ko.zst)", "xfs_read", "/lib/modules/6.1/xfs.ko.zst", KERNEL),
        ("\tffffffffc07d8123 ipv4_conntrack_local+0x7f ([nf_conntrack])", "ipv4_conntrack_local", "[nf_conntrack]", KERNEL),
        ("\tffffffffc07d8123 bpf_prog_6deef7357e7b4530+0x7f (bpf_prog_6deef7357e7b4530)", "bpf_prog_6deef7357e7b4530", "bpf_prog_6deef7357e7b4530", KERNEL),
        ("\tffffffff81000000 vmx_run ([guest.kernel.kallsyms])", "vmx_run", "[guest.kernel.kallsyms]", KERNEL),
        ("\t    7ffd1234 __vdso_gettimeofday+0x1 ([vdso])", "__vdso_gettimeofday", "[vdso]", USER),
        ("\tffffffffff600000 gettimeofday ([vsyscall])", "gettimeofday", "[vsyscall]", USER),
        ("\t7f722d142778 java.lang.String.hash (/tmp/perf-19982.map)", "java.lang.String.hash", "/tmp/perf-19982.map", JIT),
        ("\t7f722d142778 Foo (/tmp/jitted-1-2.so)", "Foo", "/tmp/jitted-1-2.so", JIT),
        ("\t7f722d142778 Foo ([JIT] tid 123)", "Foo", "[JIT] tid 123", JIT),
        ("\t    7f53 f+0x1 (/opt/my app/bin (deleted))", "f", "/opt/my app/bin", USER),
        ("\t    7f53 f (/opt/my app/bin (deleted))", "f", "/opt/my app/bin", USER),
        ("\t    7f53 f (/opt/a (b/c)", "f", "/opt/a (b/c", USER),
        ("\t    7f53 operator new(unsigned long)+0x5 (/lib/x.so)", "operator new(unsigned long)", "/lib/x.so", USER),
        ("\t    7f53 operator new(unsigned long)", "operator new(unsigned long)", "", USER),
        ("\t    7f53 std::function<int (int)>::operator()(int) const (/a b)", "std::function<int (int)>::operator()(int) const", "/a b", USER),
        ("\t    7f53 (anonymous namespace)::f(int)+0x1 (/x)", "(anonymous namespace)::f(int)", "/x", USER),
        ("\t    7f53 <[u8; 8] as core::cmp::PartialEq>::eq+0x1 (/x)", "<[u8; 8] as core::cmp::PartialEq>::eq", "/x", USER),
        ("\t    7f53 f (//anon)", "f", "//anon", USER),
    ],
)  # fmt: skip
def test_names_modules_and_kinds(line: str, name: str, module: str, kind: FrameKind) -> None:
    frame = only(line)
    assert (frame.name, frame.module, frame.kind) == (name, module, kind)


@pytest.mark.parametrize(
    ("line", "name", "module"),
    [
        ("\t    7f53 [unknown] (/usr/lib/libgcc_s.so.1)", "[libgcc_s.so.1]", "/usr/lib/libgcc_s.so.1"),
        ("\t    7f53  (/usr/lib/libgcc_s.so.1)", "[libgcc_s.so.1]", "/usr/lib/libgcc_s.so.1"),
        ("\t    7f53 [unknown] (/usr/lib/x.so (deleted))", "[x.so]", "/usr/lib/x.so"),
        ("\t    7f53 [unknown] ([unknown])", "[unknown]", ""),
        ("\t    7f53 [unknown]", "[unknown]", ""),
        # As both collapsers write it: a graph of theirs must match one of ours.
        ("\tffffffff81000000 [unknown] ([kernel.kallsyms])", "[[kernel.kallsyms]]", "[kernel.kallsyms]"),
    ],
)
def test_an_address_without_symbol_is_named_after_its_module(line: str, name: str, module: str) -> None:
    frame = only(line)
    assert (frame.name, frame.module) == (name, module)
    assert frame.is_unresolved


def test_unresolved_kernel_addresses_stay_the_kernels() -> None:
    assert only("\tffffffff81000000 [unknown] ([unknown])").kind is KERNEL
    assert only("\t    55956f1482df [unknown] ([unknown])").kind is USER


def test_an_address_alone_is_its_own_name() -> None:
    assert only("\t    1278").name == "0x1278"


def test_offsets_and_addresses() -> None:
    frame = only("\t            1278 leaf+0x18 (/tmp/t)")
    assert (frame.address, frame.offset, frame.is_unresolved) == (0x1278, 0x18, False)
    assert only("\t            1278 leaf (/tmp/t)").offset == -1


@pytest.mark.parametrize(
    ("source", "file", "line"),
    [
        ("  main.c:12", "main.c", 12),
        ("  /src/a b.rs:7 (discriminator 3)", "/src/a b.rs", 7),
        ("  ??:0", "", -1),
        ("  main.c:0", "main.c", -1),
        ("  libc.so.6[27249]", "", -1),
        ("  [kernel.kallsyms][ffffffff81598995]", "", -1),
    ],
)
def test_source_lines(source: str, file: str, line: int) -> None:
    frame = only(f"\t    1278 leaf+0x18 (/tmp/t)\n{source}")
    assert (frame.file, frame.line, frame.kind) == (file, line, USER)


def test_an_inlined_frame_is_marked_on_either_line() -> None:
    assert only("\t    1278 mix+0x8 (inlined)").kind is INLINED
    frame = only("\t   27304 __libc_start_main_impl+0x84\n  libc-start.c:360 (inlined)")
    assert (frame.kind, frame.file, frame.line) == (INLINED, "libc-start.c", 360)


def test_java_methods_inlined_into_one_symbol() -> None:
    found = frames_of("\t7f00 Lcom/Outer;::run->Lcom/Inner;::step (/tmp/perf-7.map)")
    assert found is not None
    assert [(f.name, f.kind) for f in found] == [("com/Outer;::run", JIT), ("com/Inner;::step", INLINED)]
    # V8's names are not Java's.
    assert only("\t7f00 LazyCompile:~run /home/a/b.js:7 (/tmp/perf-7.map)").name == "LazyCompile:~run /home/a/b.js:7"
    # An arrow in compiled code is part of its name.
    assert only("\t7f00 auto f() -> int+0x1 (/x)").name == "auto f() -> int"


def test_a_process_name_is_no_function() -> None:
    assert frames_of("\tffffffff8103ce3b (ksoftirqd/0) ([kernel.kallsyms])") == ()


@pytest.mark.parametrize("line", ["", "\t", "foo bar", "  main.c:12", "t  7942  1.5: cycles: "])
def test_what_is_no_frame(line: str) -> None:
    assert frames_of(line) is None


def test_leftovers_of_rust_names() -> None:
    name = "_$LT$std..fs..ReadDir$u20$as$u20$core..iter..Iterator$GT$::next::hc14f1750ca79129b"
    assert rust_name(name) == "<std::fs::ReadDir as core::iter::Iterator>::next::hc14f1750ca79129b"
    assert rust_name("Outer$Inner$C$Deep.run") == "Outer$Inner$C$Deep.run"


def test_the_table_keeps_order_and_drops_addresses() -> None:
    table = frame_table([PerfFrame("a", "/m", USER, "x.c", 3, 16, 2), PerfFrame("b")])
    assert table.names() == ["a", "b"]
    assert (table.module_of(0), table.place_of(0), table.module_of(1), table.place_of(1)) == ("/m", "x.c:3", "", "")
    assert len(frame_table([])) == 0
