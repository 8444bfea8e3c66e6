"""Source lines and instructions as item models: figures, folding, links, jumps, search, whatever the size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.modeltest import ModelTester

from helpers import code
from helpers.stacks import profile
from tailflame.analyse.annotate import LineCosts, line_costs, place_tree
from tailflame.analyse.tree import TreeOptions
from tailflame.host.disassembly import CodeRange, parse
from tailflame.host.source_files import SourceText
from tailflame_gui.models import assembly_lines, source_lines
from tailflame_gui.models.assembly_lines import LANES, AssemblyLines, Part
from tailflame_gui.models.code_lines import CodeRole, RowKind
from tailflame_gui.models.source_lines import SourceLines
from tailflame_gui.widgets.flame_search import PatternError


def costs(*, function: str | None = code.HOT) -> LineCosts:
    return line_costs(place_tree(code.sited(), TreeOptions()), code.HOT_RS, function=function)


def source(text: SourceText | None = code.TEXT, *, function: str | None = code.HOT) -> SourceLines:
    model = SourceLines()
    model.set_lines(costs(function=function), text)
    return model


def assembly() -> AssemblyLines:
    model = AssemblyLines()
    listing = code.disassembly()
    weight = np.array([0, 50.0, 0, 200, 0, 0, 0])
    model.set_code(listing, weight, weight, whole=250.0)
    return model


def column(model: SourceLines | AssemblyLines, at: int) -> list[str]:
    return [model.index(row, at).data() for row in range(model.rowCount())]


def test_are_sound_models(qtmodeltester: ModelTester) -> None:
    for model in (SourceLines(), source(), source(None), AssemblyLines(), assembly()):
        qtmodeltester.check(model)


def test_a_source_line_has_its_shares_and_its_text() -> None:
    model = source()
    row = model.row_of(2)
    assert [model.index(row, at).data() for at in range(4)] == [
        "12.5", "12.5", "2", "    let mut best = values[0]; // the first",
    ]  # fmt: skip
    assert [model.index(model.row_of(4), at).data() for at in range(2)] == ["", "37.5"]
    assert model.index(model.row_of(7), source_lines.SELF).data() == ""
    assert "\t" not in model.text(model.row_of(3))


def test_what_is_inlined_stands_below_its_line_and_folds_away(qtmodeltester: ModelTester) -> None:
    model = source()
    qtmodeltester.check(model)
    line = model.row_of(3)
    assert (model.rowCount(), model.index(line, 0).data(CodeRole.FOLD)) == (11, True)
    inlined = model.index(line + 1, 0)
    assert inlined.data(CodeRole.RANK) == RowKind.INLINED
    assert (inlined.data(), inlined.data(CodeRole.NAME), model.function(line + 1)) == ("50.0", code.MAX, code.MAX)
    assert model.place(line + 1) == (code.LIB_RS, 70)
    model.set_other_text(code.LIB_RS, code.LIB_TEXT)
    assert model.text(line + 1) == "if other < self { self } else { other }"
    assert model.toggle(line) and model.rowCount() == 10
    assert model.index(line, 0).data(CodeRole.FOLD) is False
    assert not model.toggle(line, unfold=False)
    assert model.toggle(line, unfold=True) and model.rowCount() == 11
    assert not model.toggle(model.row_of(2))


def test_the_whole_file_has_the_lines_of_other_functions_and_shares_of_everything() -> None:
    model = source(function=None)
    assert model.index(model.row_of(9), source_lines.SELF).data() == "15.0"
    assert source().index(source().row_of(9), source_lines.SELF).data() == ""


def test_without_the_text_lines_with_a_cost_are_listed_by_number() -> None:
    model = source(None)
    assert column(model, source_lines.LINE) == ["2", "3", "", "4"]
    assert column(model, source_lines.TEXT) == ["", "", "", ""]


def test_the_hottest_lines_are_walked_by_heat() -> None:
    model = source()
    assert model.hottest() == model.row_of(3)
    assert model.next_hot(model.hottest(), 1) == model.row_of(2)
    assert model.next_hot(model.row_of(2), 1) == model.row_of(2)
    assert model.next_hot(model.row_of(2), -1) == model.row_of(3)
    assert model.next_hot(-1, 1) == model.row_of(3)


def test_where_a_function_only_calls_its_hottest_line_is_the_one_that_calls_most() -> None:
    model = SourceLines()
    tree = place_tree(profile("run!run.rs:5 1\nrun!run.rs:6;f 30\nrun!run.rs:7;g 10"), TreeOptions())
    model.set_lines(line_costs(tree, "run.rs", function="run"), None)
    assert model.by_heat().tolist() == [1, 2, 0]
    assert model.index(1, 0).data(CodeRole.HEAT) == 1.0


def test_both_sides_know_the_lines_of_the_other() -> None:
    lines, instructions = source(), assembly()
    assert instructions.rows_of(code.HOT_RS, 3).tolist() == []
    instructions.set_lines(code.lines())
    assert instructions.rows_of(code.HOT_RS, 3).tolist() == [2, 3]
    assert instructions.rows_of(code.LIB_RS, 70).tolist() == [2, 3]
    assert instructions.places(3) == [(code.LIB_RS, 70), (code.HOT_RS, 3)]
    assert lines.rows_of(instructions.places(3)) == [lines.row_of(3), lines.row_of(3) + 1]
    assert lines.rows_of(instructions.places(1)) == [lines.row_of(2)]


def test_an_instruction_says_what_it_costs_and_where_it_leads() -> None:
    model = assembly()
    assert column(model, assembly_lines.SELF) == ["", "20.0", "", "80.0", "", "", ""]
    assert column(model, assembly_lines.ADDRESS)[0] == "1000"
    assert column(model, assembly_lines.TEXT)[3:5] == ["je      1001", "call    engine::cold"]
    assert (model.target(3), model.function(4)) == (1, code.COLD)
    assert "80.0%" in model.tip(3) and "200 samples" in model.tip(3)
    model.set_lines(code.lines())
    assert model.index(3, assembly_lines.PLACE).data() == "cmp.rs:70"
    assert f"inlined into {code.HOT}, {code.HOT_RS}:3" in model.tip(3)


def test_a_jump_is_drawn_from_where_it_leaves_to_where_it_arrives() -> None:
    model = assembly()
    lanes = [model.index(row, 0).data(CodeRole.LANES) for row in range(4)]
    assert lanes == [(), ((0, Part.END, True),), ((0, Part.THROUGH, True),), ((0, Part.START, True),)]


def test_crossing_jumps_have_lanes_of_their_own_and_too_many_are_left_out() -> None:
    many = "\n".join(f"   {0x1000 + 2 * at:x}:\t74 00  \tje     {0x1100 + 2 * at:x} <f>" for at in range(40))
    many += "\n" + "\n".join(f"   {0x1100 + 2 * at:x}:\t90     \tnop" for at in range(40))
    model = AssemblyLines()
    model.set_code(parse(many, CodeRange("f", 0x1000, 0x1200)), np.zeros(80), np.zeros(80), whole=0)
    for row in range(80):
        drawn = [lane for lane, _part, _back in model.index(row, 0).data(CodeRole.LANES)]
        assert len(drawn) == len(set(drawn)) and all(0 <= lane < LANES for lane in drawn)


def test_search_marks_text_and_inlined_names() -> None:
    model = source()
    assert model.set_query("best") == 5
    assert model.index(model.row_of(2), 0).data(CodeRole.MARKED)
    assert model.matches().tolist()[0] == model.row_of(2)
    assert model.set_query("core::cmp") == 1
    with pytest.raises(PatternError):
        model.set_query("(")
    assert model.set_query("") == 0
    assert assembly().set_query("r[ab]x") == 2


def test_linked_rows_are_marked_until_others_are() -> None:
    model = source()
    model.set_linked(np.array([2]))
    assert model.index(2, 0).data(CodeRole.LINKED) and model.linked == [2]
    model.set_linked(np.zeros(0, dtype=np.int64))
    assert model.linked == []


def test_copied_lines_are_tab_separated() -> None:
    assert source().as_text([1]) == "12.5\t12.5\t2\t    let mut best = values[0]; // the first\n"


def test_a_file_of_fifty_thousand_lines_is_no_more_work_per_row(qtmodeltester: ModelTester) -> None:
    held = profile("\n".join(f"main!m.rs:1;f!big.rs:{line} 1" for line in range(1, 50_000, 5)))
    text = SourceText(Path("big.rs"), tuple(f"let a{line} = {line};" for line in range(50_000)))
    model = SourceLines()
    model.set_lines(line_costs(place_tree(held, TreeOptions()), "big.rs"), text)
    assert model.rowCount() == 50_000
    assert model.index(49_995, source_lines.LINE).data() == "49996"
    assert model.index(49_995, source_lines.SELF).data() == "<0.1"
    assert model.set_query("a4999") == 11
    assert model.widest() == len("let a49999 = 49999;")
