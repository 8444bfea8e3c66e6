"""Machine code by objdump: what its text says, which file it is read from, and what goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import DATA
from helpers.spin import BUILD_ID, SPIN, at_home
from tailflame.errors import Cancelled, ToolFailed, ToolMissing
from tailflame.host import disassembly
from tailflame.host.disassembly import CodeRange, NoCode, disassemble, find_binary, parse, ranges_of

RECORDED = (DATA / "objdump/2.40/match_order.txt").read_text()
MATCH = CodeRange("trading_system::order_book::OrderBook::match_order", 0xF8FB0, 0xF937D)
CHURN = CodeRange("churn", 0x1220, 0x126C)
objdump = pytest.mark.tool("objdump")


def test_objdumps_text_becomes_columns() -> None:
    code = parse(RECORDED, MATCH)
    assert len(code) == 237
    assert (int(code.address[0]), code.code[0], code.text[0]) == (0xF8FB0, "55", "push %rbp")
    row = code.row_at(0xF9044)
    assert code.text[row] == "je f9080 <trading_system::order_book::OrderBook::match_order+0xd0>"
    assert int(code.address[code.target[row]]) == 0xF9080
    assert (code.far[row], code.callee[row]) == (-1, "")
    assert code.stop == 0xF937D


def test_an_address_lies_in_the_instruction_that_holds_it() -> None:
    code = parse(RECORDED, MATCH)
    assert code.row_at(0xF8FB1) == code.row_at(0xF8FB3) == 1
    assert code.row_at(0xF8FAF) == code.row_at(0xF937D) == -1


TEXTS = """
   1000:\te8 fb 0f 00 00       \tcall   2000 <cold_path>
   1005:\te8 00 00 00 00       \tcall   1040 <memcpy@plt>
   100a:\te9 f1 0f 00 00       \tjmp    2000 <cold_path+0x10>
   100f:\t74 ef                \tje     1000 <hot>
   1011:\tff d0                \tcall   *%rax
   1013:\tf2 e9 00 00 00 00    \tbnd jmp 1018 <hot+0x18>
   1019:\t48 8d 05 00 00 00 00 \tlea    0x0(%rip),%rax        # 1020 <table>
   1020:\t97ffffff \tbl\t3000 <core::fmt::write>
   1024:\t54000060 \tb.eq\t1000 <hot>  // b.none
   1028:\td503201f \tnop
   102c:\t48 b8 b9 e5 e4 1c 6d \tmovabs $0xbf58476d1ce4e5b9,%rax
   1033:\t47 58 bf
   1036:\t06                   \t(bad)
"""


def test_calls_and_jumps_say_where_they_lead() -> None:
    code = parse(TEXTS, CodeRange("hot", 0x1000, 0x1040))
    told = {
        int(code.address[row]): (int(code.target[row]), int(code.far[row]), code.callee[row])
        for row in range(len(code))
    }
    assert told[0x1000] == (-1, 0x2000, "cold_path")
    assert told[0x1005] == (-1, 0x1040, "memcpy")
    assert told[0x100A] == (-1, 0x2000, "cold_path")
    assert told[0x100F] == (0, -1, "")
    assert told[0x1011] == told[0x1019] == told[0x1028] == (-1, -1, "")
    assert told[0x1020] == (-1, 0x3000, "core::fmt::write")
    assert told[0x1024] == (0, -1, "")


def test_bytes_on_a_line_of_their_own_belong_to_the_instruction_above() -> None:
    code = parse(TEXTS, CodeRange("hot", 0x1000, 0x1040))
    row = code.row_at(0x1034)
    assert code.text[row].startswith("movabs")
    assert code.code[row] == "48 b8 b9 e5 e4 1c 6d 47 58 bf"
    assert code.stop == 0x1037


@given(st.text(alphabet=st.sampled_from("0123456789abcdef: \t\n<>+#*(x%"), max_size=400))
def test_no_text_makes_it_fail(text: str) -> None:
    code = parse(text, MATCH)
    assert len(code) == len(code.text) == len(code.target) == len(code.callee)
    assert (code.address[1:] > code.address[:-1]).all()
    assert ((code.target >= -1) & (code.target < max(len(code), 1))).all()


def test_symbols_hold_addresses() -> None:
    (found,) = ranges_of(SPIN, [0x1233, 0x1264])
    assert found == CHURN
    assert 0x126B in found and 0x126C not in found


def test_several_addresses_may_lie_in_several_symbols_or_in_none() -> None:
    names = [symbol.name for symbol in ranges_of(SPIN, [0x1233, 0x1090])]
    assert "churn" in names and len(names) == 2
    (nameless,) = ranges_of(SPIN, [0x9_0000_0000])
    assert (nameless.name, nameless.start, nameless.stop) == ("", 0x9_0000_0000, 0x9_0000_0001)


def test_what_is_no_elf_file_has_no_code(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    for content in (b"", b"\x7fELF" + bytes(60), SPIN.read_bytes()[:2000]):
        broken.write_bytes(content)
        with pytest.raises(NoCode):
            ranges_of(broken, [0x1000])
    with pytest.raises(NoCode):
        ranges_of(tmp_path / "missing", [0x1000])


@objdump
def test_a_function_is_disassembled() -> None:
    code = disassemble(SPIN, CHURN)
    assert (len(code), code.text[0], code.text[-1]) == (31, "mov %edi,%r8d", "ret")
    assert int(code.address[code.target[code.row_at(0x1267)]]) == 0x1230
    assert code.stop == 0x126C and not code.truncated


@objdump
def test_calls_of_other_libraries_have_their_names() -> None:
    (fill,) = ranges_of(SPIN, [0x12C0])
    assert [name for name in disassemble(SPIN, fill).callee if name] == ["malloc", "memset", "free"]


@objdump
def test_too_much_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disassembly, "RANGE_LIMIT", 16)
    cut = disassemble(SPIN, CHURN)
    assert cut.truncated and 0 < len(cut) < 31
    monkeypatch.setattr(disassembly, "OUTPUT_LIMIT", 300)
    assert disassemble(SPIN, CHURN).truncated


@objdump
def test_a_cancel_ends_objdump() -> None:
    def cancelled() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        disassemble(SPIN, CHURN, watch=cancelled)


def fake_objdump(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = folder / "objdump"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_an_objdump_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_objdump(tmp_path, "exec sleep 600", monkeypatch)
    with pytest.raises(ToolFailed, match="has not answered"):
        disassemble(SPIN, CHURN, timeout_s=0.2)


def test_an_objdump_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_objdump(tmp_path, "echo 'file format not recognized' >&2; exit 1", monkeypatch)
    with pytest.raises(ToolFailed) as failed:
        disassemble(SPIN, CHURN)
    assert "file format not recognized" in failed.value.details


def test_without_objdump_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    with pytest.raises(ToolMissing) as missing:
        disassemble(SPIN, CHURN)
    assert "binutils" in missing.value.advice


@objdump
def test_a_name_that_looks_like_a_switch_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(SPIN, tmp_path / "--version")
    monkeypatch.chdir(tmp_path)
    assert len(disassemble(Path("--version"), CHURN)) == 31


def test_the_recorded_build_is_found_where_it_was_or_in_perfs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_binary(str(SPIN), BUILD_ID) == SPIN
    assert find_binary(f"{SPIN} (deleted)", BUILD_ID) == SPIN
    kept = at_home(tmp_path / "home", monkeypatch)
    assert find_binary("/opt/spin/spin", BUILD_ID) == kept


def test_the_copy_of_a_vdso_has_its_build_id_in_its_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / ".debug/.build-id/ab" / ("ab" * 19)
    shelf.mkdir(parents=True)
    image = bytearray(SPIN.read_bytes())
    at = image.index(b".note.gnu.build-id")
    image[at : at + 18] = b".note.something.el"
    (shelf / "vdso").write_bytes(image)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_binary("[vdso]", "ab" * 20) == shelf / "vdso"


def test_symbols_that_were_taken_out_are_found_by_build_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stripped = tmp_path / "spin"
    image = SPIN.read_bytes().replace(b"\0.symtab\0", b"\0.notsym\0")
    stripped.write_bytes(image)
    (nameless,) = ranges_of(stripped, [0x1233])
    assert nameless.name == ""
    monkeypatch.setattr(disassembly, "DEBUG_ROOT", tmp_path)
    kept = tmp_path / ".build-id" / BUILD_ID[:2] / f"{BUILD_ID[2:]}.debug"
    kept.parent.mkdir(parents=True)
    shutil.copy(SPIN, kept)
    assert ranges_of(stripped, [0x1233]) == (CHURN,)


def test_another_build_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoCode, match="another build") as changed:
        find_binary(str(SPIN), "ab" * 20)
    assert str(tmp_path) in changed.value.details and "ab" * 20 in changed.value.details
    with pytest.raises(NoCode, match="not on this machine"):
        find_binary("/opt/spin/spin", "ab" * 20)
    with pytest.raises(NoCode, match="no file"):
        find_binary("[vdso]", "")


def test_without_a_recorded_build_id_the_file_itself_is_taken() -> None:
    assert find_binary(str(SPIN), "") == SPIN
