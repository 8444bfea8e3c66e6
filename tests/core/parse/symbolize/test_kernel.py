"""Functions of the kernel, its modules and the vdso."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.model import FrameKind
from tailflame.parse.symbolize import KernelNames, Module, RecordedKernel, Symbolizer, kernel, names_here
from tailflame.parse.symbolize.elf_file import build_id_of, open_elf
from tailflame.parse.symbolize.kernel import kallsyms, kernel_table, running_build_id
from tailflame.parse.symbolize.vdso import vdso

KERNEL = Module("[kernel.kallsyms]", kind=FrameKind.KERNEL)
TEXT = """\
ffffffff81000000 T _text
ffffffff81000000 T _stext
ffffffff81000040 t local_one
ffffffff81000040 T __x64_sys_read
ffffffff81000100 r not_code
ffffffff81000200 W weak_one
ffffffff82000000 D some_data
ffffffffc0a01000 t nf_ct_init\t[nf_conntrack]
ffffffffc0a01080 t nf_ct_exit\t[nf_conntrack]
ffffffffc0b00000 t other\t[other]
ffffffffc0b00010 t $x\t[other]
nonsense
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of symbols in the place of /proc/kallsyms."""
    path = tmp_path / "kallsyms"
    path.write_text(TEXT)
    monkeypatch.setattr(kernel, "KALLSYMS", path)
    return path


def names(recorded: RecordedKernel, *addresses: int, home: Path = Path("/nowhere")) -> list[str]:
    symbolizer = Symbolizer(kernel=recorded, home=home)
    asked = np.array(addresses, dtype=np.uint64)
    found = symbolizer.names(KERNEL, asked)
    assert found.address.tolist() == list(addresses)
    assert not symbolizer.states
    return [
        f"{symbolizer.strings[name]}+{at - start:#x}" if name >= 0 else ""
        for at, name, start in zip(addresses, found.name.tolist(), found.start.tolist(), strict=True)
    ]


def running() -> RecordedKernel:
    return RecordedKernel(release=os.uname().release)


def test_functions_of_the_kernel_and_its_modules(listed: Path) -> None:
    assert names(
        running(), 0xFFFFFFFF80FFFFFF, 0xFFFFFFFF81000000, 0xFFFFFFFF81000041, 0xFFFFFFFF810001FF, 0xFFFFFFFF81FFFFFF
    ) == ["", "_stext+0x0", "__x64_sys_read+0x1", "__x64_sys_read+0x1bf", "weak_one+0xfffdff"]
    # The last of a module reaches to the end of the page behind its own.
    assert names(running(), 0xFFFFFFFFC0A01010, 0xFFFFFFFFC0A02FFF, 0xFFFFFFFFC0A03000, 0xFFFFFFFFC0B00010) == [
        *("nf_ct_init+0x10", "nf_ct_exit+0x1f7f", "", "other+0x10")
    ]


@pytest.mark.parametrize(
    ("recorded", "known"),
    [
        (RecordedKernel(), False),
        (RecordedKernel(release="5.4.0-of-another-machine"), False),
        (RecordedKernel(build_id="ab" * 20), False),
        (RecordedKernel(build_id="ab" * 20, release=os.uname().release), False),
        (RecordedKernel(release=os.uname().release), True),
        (RecordedKernel(release=os.uname().release, anchor="_text", anchor_address=0xFFFFFFFF81000000), True),
        # It was started again, and lies elsewhere.
        (RecordedKernel(release=os.uname().release, anchor="_text", anchor_address=0xFFFFFFFF9A000000), False),
        (RecordedKernel(release=os.uname().release, anchor="_gone", anchor_address=0xFFFFFFFF81000000), False),
    ],
)
def test_only_the_recorded_kernel_is_asked(listed: Path, recorded: RecordedKernel, known: bool) -> None:
    assert names(recorded, 0xFFFFFFFF81000041) == (["__x64_sys_read+0x1"] if known else [""])


def test_the_same_build_started_again_lies_elsewhere_as_a_whole(listed: Path, tmp_path: Path) -> None:
    """As kallsyms__delta in tools/perf/util/symbol.c; its modules may lie anywhere."""
    build_id = "ab" * 20
    copy = tmp_path / ".debug/[kernel.kallsyms]" / build_id / "kallsyms"
    copy.parent.mkdir(parents=True)
    copy.write_text(TEXT)
    moved = RecordedKernel(build_id=build_id, anchor="_text", anchor_address=0xFFFFFFFF9A000000)
    asked = (0xFFFFFFFF9A000041, 0xFFFFFFFF9A000201, 0xFFFFFFFF81000041, 0xFFFFFFFFC0A01010, 0xFFFFFFFFD9A01010)
    assert names(moved, *asked, home=tmp_path) == ["__x64_sys_read+0x1", "weak_one+0x1", "", "", ""]
    # Where only the release is told it may be another build.
    assert names(replace(moved, build_id="", release=os.uname().release), asked[0]) == [""]


@pytest.mark.parametrize("anchor", ["T _text", "_stext\nffffffff81000040 t local_one", "\n", "\0", "(", "_text "])
def test_an_anchor_is_whatever_a_file_says(listed: Path, anchor: str) -> None:
    recorded = RecordedKernel(release=os.uname().release, anchor=anchor, anchor_address=5)
    assert names(recorded, 0xFFFFFFFF81000041) == [""]


def test_why_the_kernel_has_no_names(listed: Path) -> None:
    here = RecordedKernel(release=os.uname().release, anchor="_text", anchor_address=0xFFFFFFFF9A000000)
    assert names_here(here) is KernelNames.ELSEWHERE
    assert names_here(replace(here, release="5.4.0-of-another-machine")) is KernelNames.ELSEWHERE
    assert names_here(replace(here, release="")) is KernelNames.UNIDENTIFIED
    assert names_here(replace(here, anchor="")) is KernelNames.UNTOLD
    listed.write_text(re.sub(r"(?m)^[0-9a-f]{16}", "0" * 16, TEXT))
    assert names_here(here) is KernelNames.HIDDEN


def test_hidden_addresses_are_no_addresses(listed: Path) -> None:
    listed.write_text(re.sub(r"(?m)^[0-9a-f]{16}", "0" * 16, TEXT))
    assert names(running(), 0xFFFFFFFF81000041, 0) == ["", ""]
    listed.unlink()
    assert names(running(), 0xFFFFFFFF81000041) == [""]


def test_perfs_copy_of_another_kernels_symbols(listed: Path, tmp_path: Path) -> None:
    build_id = "ab" * 20
    copy = tmp_path / ".debug/[kernel.kallsyms]" / build_id / "kallsyms"
    copy.parent.mkdir(parents=True)
    copy.write_text(TEXT)
    assert names(RecordedKernel(build_id=build_id), 0xFFFFFFFF81000041, home=tmp_path) == ["__x64_sys_read+0x1"]


@pytest.mark.tool("gcc")
def test_the_kernels_own_file_moved_to_where_it_ran(listed: Path, tmp_path: Path) -> None:
    source = tmp_path / "made.c"
    source.write_text("void _text(void) {}\nvoid sys_made(void) {}\nint main(void) { return 0; }\n")
    binary = tmp_path / "vmlinux"
    subprocess.run(["gcc", "-O0", "-no-pie", "-o", str(binary), str(source)], check=True, capture_output=True)
    build_id = build_id_of(binary)
    place = tmp_path / ".debug/[kernel.kallsyms]" / build_id
    place.mkdir(parents=True)
    binary.rename(place / "vmlinux")
    moved = RecordedKernel(build_id=build_id, anchor="_text", anchor_address=0xFFFFFFFF9A000000)
    found = names(moved, 0xFFFFFFFF9A000000, 0xFFFFFFFF9A000007, home=tmp_path)
    assert found[0] == "_text+0x0"
    assert found[1].startswith(("_text+", "sys_made+"))


def test_the_running_kernels_symbols() -> None:
    """What /proc/kallsyms says of each function is found again, where it may be read."""
    lines = Path("/proc/kallsyms").read_text().splitlines()
    functions = [line.split()[:3] for line in lines if line.split()[1] in "tT"][:5000]
    if not functions or all(int(address, 16) == 0 for address, _, _ in functions):
        pytest.skip("the kernel hides its addresses")
    recorded = RecordedKernel(build_id=running_build_id(), release=os.uname().release)
    table = kernel_table(recorded, Path.home())
    assert table is not None
    by_address: dict[int, set[str]] = {}
    for address, _, name in functions:
        by_address.setdefault(int(address, 16), set()).add(name)
    places = table.find(np.array(sorted(by_address), dtype=np.uint64), lambda names: {})
    assert all(place >= 0 for place in places.tolist())
    hits = sum(
        table.name(place) in by_address[at] for at, place in zip(sorted(by_address), places.tolist(), strict=True)
    )
    assert hits > 0.99 * len(by_address)  # data may lie there as well


@settings(max_examples=100)
@given(
    st.one_of(st.binary(max_size=400), st.text(alphabet="0123456789abcdef Tt\t[]\n$x", max_size=400).map(str.encode))
)
def test_lists_of_any_bytes(text: bytes) -> None:
    symbols, owner = kallsyms(text)
    assert len(symbols) == len(owner)
    for row in range(len(symbols)):
        symbols.name_of(row)
    kallsyms(text + TEXT.encode())


def test_our_own_vdso() -> None:
    own = vdso("", Path("/nowhere"), same_kernel=True)
    if own is None:
        pytest.skip("this machine has no vdso")
    build_id = own.build_id()
    assert build_id
    assert vdso(build_id, Path("/nowhere"), same_kernel=False) is not None
    assert vdso("ab" * 20, Path("/nowhere"), same_kernel=True) is None
    assert vdso("", Path("/nowhere"), same_kernel=False) is None
    symbolizer = Symbolizer()
    module = Module("[vdso]", build_id)
    every = np.arange(0, own.size, 16, dtype=np.uint64)
    found = symbolizer.names(module, every)
    assert any("clock_gettime" in symbolizer.strings[name] for name in found.name.tolist() if name >= 0)
    assert len(symbolizer.inlined(module, every, np.ones(len(every), bool)).name) == 0


def test_perfs_copy_of_the_vdso(tmp_path: Path) -> None:
    spin = Path(__file__).parents[3] / "data/perf/6.1.187/spin"
    build_id = open_elf(spin).build_id()
    place = tmp_path / ".debug/[vdso]" / build_id
    place.mkdir(parents=True)
    (place / "vdso").write_bytes(spin.read_bytes())
    assert vdso(build_id, tmp_path, same_kernel=False) is not None
