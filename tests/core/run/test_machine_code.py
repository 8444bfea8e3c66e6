"""Machine code and sources of a recording: which file, which symbol, which lines, and why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.spin import BUILD_ID, RECORDED, SPIN, at_home
from tailflame.analyse.annotate import CodePlace
from tailflame.host.disassembly import NoCode
from tailflame.host.source_files import MissingSource
from tailflame.model import FrameKind, Meta
from tailflame.model.stacks import readonly
from tailflame.parse.debug_info import State
from tailflame.run.machine_code import build_id_of, instruction_lines, read_code, read_lines

META = Meta(build_ids=(("/opt/spin/spin", BUILD_ID), ("/lib/a.so", "aa" * 20), ("/lib/a.so", "bb" * 20)))
CHURN, DESCEND = 0x1233, 0x1270


def place(*addresses: int, module: str = "/opt/spin/spin", kind: FrameKind = FrameKind.USER) -> CodePlace:
    """Samples at `addresses`, the first the hottest."""
    weights = [float(len(addresses) - at) for at in range(len(addresses))]
    return CodePlace(module, "churn", kind, readonly(addresses, np.uint64), readonly(weights, np.float64))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path / "home", monkeypatch)


def test_a_build_id_counts_where_there_is_one() -> None:
    assert build_id_of(META, "/opt/spin/spin") == BUILD_ID
    assert build_id_of(META, "/opt/spin/spin (deleted)") == BUILD_ID
    assert build_id_of(META, "/lib/a.so") == ""  # replaced while perf recorded
    assert build_id_of(META, "/lib/b.so") == ""


@pytest.mark.tool("objdump")
def test_the_symbol_with_the_most_weight_is_read_and_others_can_be_chosen() -> None:
    code = read_code(place(CHURN, CHURN + 2, DESCEND), META)
    assert [symbol.name for symbol in code.ranges] == ["churn", "descend"]
    assert (code.disassembly.symbol.name, code.caution) == ("churn", "")
    other = read_code(place(CHURN, CHURN + 2, DESCEND), META, symbol=code.ranges[1])
    assert other.disassembly.symbol.name == "descend"


@pytest.mark.tool("objdump")
def test_without_a_recorded_build_id_the_code_is_doubtful() -> None:
    code = read_code(place(CHURN, module=str(SPIN)), Meta())
    assert "does not tell which build" in code.caution


@pytest.mark.tool("objdump")
def test_instructions_know_their_lines_and_what_is_inlined() -> None:
    code = read_code(place(CHURN), META)
    lines, state = instruction_lines(code, "/opt/spin/spin", META)
    assert state is State.READ and lines is not None
    row = code.disassembly.row_at(0x1235)
    names = [(lines.name[at], int(lines.line[at])) for at in lines.chain(row)]
    assert [name for name, _line in names] == ["twist", "blend", "churn"]
    assert names[-1] == ("churn", 24)
    assert row in lines.of("/src/spin/spin.c", 24).tolist()


@pytest.mark.tool("objdump")
def test_a_binary_without_debug_information_says_so(tmp_path: Path) -> None:
    stripped, other = tmp_path / "spin", "cd" * 20
    image = SPIN.read_bytes().replace(b".debug_info", b".nebug_info")
    stripped.write_bytes(image.replace(bytes.fromhex(BUILD_ID), bytes.fromhex(other)))
    meta = Meta(build_ids=((str(stripped), other),))
    code = read_code(place(CHURN, module=str(stripped)), meta)
    lines, state = instruction_lines(code, str(stripped), meta)
    assert lines is None and state is State.NO_DEBUG_INFO


def test_code_that_no_recording_holds_is_named() -> None:
    with pytest.raises(NoCode, match="kernel"):
        read_code(place(1 << 63, module="[kernel.kallsyms]", kind=FrameKind.KERNEL), META)
    with pytest.raises(NoCode, match="while the program ran"):
        read_code(place(1, module="/tmp/perf-7.map", kind=FrameKind.JIT), META)
    with pytest.raises(NoCode, match="which binary"):
        read_code(place(1, module=""), META)


def test_a_source_is_read_through_the_map_and_beside_the_program(tmp_path: Path) -> None:
    found, text = read_lines("/src/spin/spin.c", path_map=(("/src/spin", str(RECORDED)),))
    assert found.path == RECORDED / "spin.c" and text.lines[22].strip().startswith("for")
    (tmp_path / "Cargo.toml").write_text("")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/lib.rs").write_text("//\n")
    program = tmp_path / "target/release/program"
    found, _text = read_lines("src/lib.rs", binary=str(program))
    assert found.path == tmp_path / "src/lib.rs"
    with pytest.raises(MissingSource):
        read_lines("/src/spin/spin.c")
