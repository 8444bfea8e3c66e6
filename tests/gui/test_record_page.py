"""The record page: every field makes a draft, every draft fills the fields, every wish is a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QScrollArea, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from tailflame.errors import ToolDenied
from tailflame_gui import theme
from tailflame_gui.record_model import (
    CARGO_FLAMEGRAPH,
    PERF_RECORD,
    Assessment,
    CargoChoice,
    CheckRow,
    Choice,
    Draft,
    OptionsDraft,
    ProjectChoice,
    RunHead,
    TargetDraft,
    ToolChoice,
)
from tailflame_gui.rows import EndRow, Level
from tailflame_gui.views import target_form
from tailflame_gui.views.record_page import RecordPage, Side
from tailflame_gui.views.target_form import FOR, UNTIL

NO_COUNTERS = "the processor's counters are not available here"
GRAPHS = (
    Choice("fp", "fp", "Cheap."),
    Choice("dwarf", "dwarf", "Copies."),
    Choice("lbr", "lbr", "Records.", False, "there are no branch records"),
    Choice("none", "none", "No callers."),
)
EVENTS = (
    Choice("cycles", "cycles", "", False, NO_COUNTERS, "Processor"),
    Choice("cache-misses", "cache-misses", "", False, NO_COUNTERS, "Processor"),
    Choice("cpu-clock", "cpu-clock", "The clock.", group="Kernel"),
    Choice("page-faults", "page-faults", group="Kernel"),
    Choice("major-faults", "major-faults", "", False, "this kernel does not count it", "Kernel"),
)
PERF = ToolChoice(
    name=PERF_RECORD,
    title="perf record",
    answers="Where does the CPU time go?",
    cost="A few percent.",
    version="6.1",
    call_graphs=GRAPHS,
    events=EVENTS,
    off_cpu=Choice("off-CPU", "Time off the CPU", "How long threads wait."),
    dwarf_stacks=(4096, 8192, 16384),
    max_frequency=100_000,
)
CARGO = replace(
    PERF,
    name=CARGO_FLAMEGRAPH,
    title="cargo flamegraph",
    call_graphs=GRAPHS[:3],
    many_events=False,
    off_cpu=None,
    needs_project=True,
    available=False,
    reason="cargo-flamegraph is not installed",
    fix="cargo install flamegraph",
)
DRAFT = Draft(
    TargetDraft(
        binary="/p/target/release/engine",
        arguments="--seconds 10",
        directory="/p/run",
        environment=(("RUST_LOG", "info"),),
        duration_s=12.5,
        project="/p",
        cargo_kind="bench",
        cargo_name="book",
        cargo_package="engine",
    ),
    OptionsDraft(call_graph="dwarf", frequency=4999, events=("cpu-clock", "page-faults", "r01c2"), dwarf_stack=16384),
)
READY = Assessment(
    checks=(CheckRow(Level.OK, "perf is installed."),),
    facts="Rust, release, 28 MB",
    command_line="perf record -o /profiles/SESSION/perf.data -- /p/engine",
    to_copy="perf record -o perf.data -- /p/engine",
    note="SESSION is the folder that is made for it in /profiles.",
)


@pytest.fixture
def page(qtbot: QtBot) -> RecordPage:
    made = RecordPage()
    qtbot.addWidget(made)
    made.resize(1155, 724)
    made.offer_tools((PERF, CARGO))
    made.show()
    qtbot.waitExposed(made)
    return made


def words(widget: QWidget) -> str:
    QCoreApplication.processEvents()
    return "\n".join(made.text() for made in widget.findChildren(QLabel) if made.isVisible())


# Drafts


def test_a_draft_fills_the_form_and_comes_back(page: RecordPage, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(page.target_changed), qtbot.assertNotEmitted(page.options_changed):
        page.show_draft(DRAFT)
    assert page.draft == DRAFT
    page.show_draft(Draft())
    assert page.draft == Draft(TargetDraft(duration_s=None))


def test_an_empty_page_asks_for_1999_hz_and_the_clock(page: RecordPage) -> None:
    assert page.draft.options == OptionsDraft(frequency=1999, events=("cpu-clock",), call_graph="dwarf")
    assert page.draft.target == TargetDraft()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda f, q: q.keyClicks(f.binary.lineEdit(), "/bin/ls"), {"binary": "/bin/ls"}),
        (lambda f, q: q.keyClicks(f.arguments, "-l '/a b'"), {"arguments": "-l '/a b'"}),
        (lambda f, q: q.keyClicks(f.directory, "/tmp"), {"directory": "/tmp"}),
        (lambda f, q: f.lasts.button(FOR).click(), {"duration_s": 10.0}),
        (lambda f, q: (f.lasts.button(FOR).click(), f.seconds.setValue(2.5)), {"duration_s": 2.5}),
    ],
)
def test_every_target_field_tells_of_its_change(
    page: RecordPage, qtbot: QtBot, edit: Callable[..., object], expected: dict[str, object]
) -> None:
    heard: list[TargetDraft] = []
    page.target_changed.connect(heard.append)
    edit(page.target, qtbot)
    assert heard and heard[-1] == replace(TargetDraft(), **expected)  # type: ignore[arg-type]


def test_the_duration_is_off_until_it_is_chosen(page: RecordPage) -> None:
    assert not page.target.seconds.isEnabled()
    page.target.lasts.button(FOR).click()
    assert page.target.seconds.isEnabled()
    page.target.lasts.button(UNTIL).click()
    assert page.draft.target.duration_s is None


def test_arguments_are_previewed_word_by_word(page: RecordPage) -> None:
    page.target.arguments.setText("--title 'two words' ''")
    assert page.target.words.whole == "3: --title | two words | (empty)"
    page.target.arguments.setText("'open")
    assert page.target.words.whole == "Not yet: a quote is not closed."
    assert page.target.words.property("rank") == "bad"
    assert page.target.arguments.property("state") == "bad"
    page.target.arguments.setText("a | b")
    assert page.target.words.whole.startswith("No shell reads this: “|”")
    assert page.target.words.property("rank") == "warn"
    page.target.arguments.setText("")
    assert page.target.words.whole == ""


def test_a_long_preview_keeps_its_place_and_is_whole_in_the_tip(page: RecordPage) -> None:
    height = page.target.words.height()
    page.target.arguments.setText(" ".join(f"--option-{n}=value" for n in range(40)))
    assert page.target.words.height() == height
    assert page.target.words.text().endswith("…")
    assert page.target.words.toolTip() == page.target.words.whole
    first, second = page.target.words.text().split("\n")
    assert first.endswith("=value") and second.startswith("--option-")  # no option is cut in two
    page.target.arguments.setText("--few words")
    assert (page.target.words.text(), page.target.words.toolTip()) == ("2: --few | words", "")


# The binary


def test_a_binary_can_be_taken_from_the_recent_ones(page: RecordPage, qtbot: QtBot) -> None:
    page.offer_recent(("/p/one", "/p/two"))
    assert [page.target.binary.itemText(at) for at in range(page.target.binary.count())] == ["/p/one", "/p/two"]
    assert page.draft.target.binary == ""
    with qtbot.waitSignal(page.binary_chosen) as heard:
        page.target.binary.setCurrentIndex(1)
        page.target.binary.activated.emit(1)
    assert heard.args == ["/p/two"]


def test_a_binary_can_be_chosen_in_a_dialog(page: RecordPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_form, "choose_program", lambda _parent, _title, take: take(Path("/p/engine")))
    with qtbot.waitSignal(page.binary_chosen) as heard:
        page.target.choose_binary()
    assert heard.args == ["/p/engine"]
    assert page.draft.target.binary == "/p/engine"


@pytest.mark.qt_log_ignore("does not support grabbing the keyboard", extend=True)  # offscreen, for the completer's list
def test_a_typed_binary_counts_when_it_is_finished_and_once(page: RecordPage, qtbot: QtBot) -> None:
    chosen: list[str] = []
    page.binary_chosen.connect(chosen.append)
    line = page.target.binary.lineEdit()
    assert line is not None
    with qtbot.waitSignals([page.completions_wanted] * 3):
        qtbot.keyClicks(line, "/bi")
    page.offer_paths(("/bin/", "/bind"))
    completer = page.target.binary.completer()
    assert completer.model().rowCount() == 2
    assert chosen == []
    qtbot.keyClicks(line, "n/ls")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    line.editingFinished.emit()
    assert chosen == ["/bin/ls"]


def test_the_facts_of_the_binary_stand_below_it(page: RecordPage) -> None:
    page.show_assessment(READY)
    assert page.target.facts.whole == "Rust, release, 28 MB"


def test_folders_can_be_chosen(page: RecordPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_form, "choose_folder", lambda _parent, _title, _start, take: take(Path("/p")))
    with qtbot.waitSignal(page.target_changed):
        page.target.choose_directory()
    assert page.draft.target.directory == "/p"
    with qtbot.waitSignal(page.project_chosen) as heard:
        page.target.choose_project()
    assert heard.args == ["/p"]
    page.show_start_folder("~/work")
    assert page.target.directory.placeholderText() == "~/work"


# Environment


def test_variables_are_edited_in_a_table_with_a_free_last_line(page: RecordPage, qtbot: QtBot) -> None:
    table = page.target.environment
    assert (table.rowCount(), table.pairs) == (1, ())
    with qtbot.waitSignal(page.target_changed):
        table.item(0, 0).setText("RUST_LOG")
    table.item(0, 1).setText("info")
    assert table.rowCount() == 2
    assert page.draft.target.environment == (("RUST_LOG", "info"),)
    table.item(1, 0).setText("RUST_LOG")
    table.item(1, 1).setText("debug")
    assert table.pairs == (("RUST_LOG", "debug"),)
    table.selectRow(0)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert (table.rowCount(), table.pairs) == (2, (("RUST_LOG", "debug"),))


def test_a_bad_variable_says_so_and_does_not_count(page: RecordPage) -> None:
    table = page.target.environment
    table.item(0, 0).setText("A=B")
    assert table.pairs == ()
    assert table.problem == table.item(0, 0).toolTip() == "A name holds no “=”."
    assert table.item(0, 0).foreground().color() == theme.current().bad
    table.item(0, 0).setText("A")
    assert (table.problem, table.item(0, 0).toolTip()) == ("", "")


# The cargo project


def test_cargo_flamegraph_shows_the_project_instead_of_the_binary(page: RecordPage, qtbot: QtBot) -> None:
    assert page.target.is_shown("binary") and not page.target.is_shown("project")
    with qtbot.waitSignals([page.options_changed]):
        page.options.cards[1].click()
    assert not page.target.is_shown("binary") and not page.target.is_shown("directory")
    assert page.target.is_shown("project") and page.target.is_shown("targets") and page.target.is_shown("profile")
    assert page.draft.in_project


def test_the_projects_targets_and_profiles_are_listed(page: RecordPage, qtbot: QtBot) -> None:
    page.options.cards[1].click()
    project = ProjectChoice(
        "/p",
        (CargoChoice("bin", "engine", "engine"), CargoChoice("bench", "book", "engine"), CargoChoice("test", "t", "e")),
        ("release", "release-with-debug"),
    )
    page.offer_project(project)
    listed = [page.target.targets.item(at).text() for at in range(3)]
    assert listed == ["engine   binary", "book   bench", "t   test"]
    assert (page.draft.target.cargo_kind, page.draft.target.cargo_name) == ("bin", "engine")
    with qtbot.waitSignal(page.target_changed) as heard:
        page.target.targets.setCurrentRow(1)
    (draft,) = heard.args
    assert (draft.cargo_kind, draft.cargo_name, draft.cargo_package) == ("bench", "book", "engine")
    page.target.profile.setCurrentText("release-with-debug")
    page.target.features.setText("jemalloc")
    assert (page.draft.options.profile, page.draft.options.features) == ("release-with-debug", "jemalloc")
    page.offer_project(project)
    assert page.target.targets.currentRow() == 1
    assert page.draft.options.profile == "release-with-debug"


def test_a_project_that_cannot_be_read_says_why(page: RecordPage) -> None:
    page.offer_project(ProjectChoice("/p", problem="cargo cannot read it.", fix="cargo check tells why."))
    item = page.target.targets.item(0)
    assert (item.text(), item.toolTip()) == ("cargo cannot read it.", "cargo check tells why.")
    assert item.flags() == Qt.ItemFlag.NoItemFlags
    assert page.draft.target.cargo_name == ""


# Tools and options


def test_a_tool_says_what_it_answers_and_costs_and_why_it_is_off(page: RecordPage) -> None:
    perf, cargo = page.options.cards
    assert "perf record" in words(perf) and perf.toolTip().startswith("Where does the CPU time go?")
    assert perf.isChecked() and not cargo.isChecked()
    head = page.options.head
    assert "Where does the CPU time go?" in words(head) and "A few percent." in words(head)
    cargo.click()
    assert "Off: cargo-flamegraph is not installed" in words(head) and "A few percent." not in words(head)
    copy = next(made for made in head.findChildren(QToolButton) if made.toolTip() == "Copy the fix")
    copy.click()
    assert QGuiApplication.clipboard().text() == "cargo install flamegraph"
    assert "Off: cargo-flamegraph is not installed. cargo install flamegraph" in cargo.toolTip()


def test_tools_are_chosen_by_arrows_and_come_before_their_options(page: RecordPage, qtbot: QtBot) -> None:
    perf, cargo = page.options.cards
    perf.setFocus()
    with qtbot.waitSignal(page.options.tool_chosen):
        qtbot.keyClick(perf, Qt.Key.Key_Down)
    assert cargo.hasFocus() and cargo.isChecked() and page.draft.options.tool == CARGO_FLAMEGRAPH
    qtbot.keyClick(cargo, Qt.Key.Key_Up)
    assert perf.isChecked()
    qtbot.keyClick(perf, Qt.Key.Key_Tab)
    focused = page.focusWidget()
    assert focused is not None and page.options.isAncestorOf(focused) and focused is not cargo
    qtbot.keyClick(focused, Qt.Key.Key_Backtab)
    assert perf.hasFocus()
    qtbot.keyClick(perf, Qt.Key.Key_Backtab)
    before = page.focusWidget()
    assert before is not None and page.target.isAncestorOf(before)


def test_a_call_graph_that_cannot_work_is_off_with_the_reason(page: RecordPage, qtbot: QtBot) -> None:
    bar = page.options.call_graph
    lbr = bar.button("lbr")
    assert not lbr.isEnabled()
    assert lbr.toolTip() == "Off: there are no branch records."
    assert "lbr is off: there are no branch records." in page.options.graph_tip
    with qtbot.waitSignal(page.options_changed) as heard:
        bar.button("fp").click()
    assert heard.args[0].call_graph == "fp"
    assert page.options.graph_tip.startswith("Cheap.")
    qtbot.keyClick(bar.button("fp"), Qt.Key.Key_Right)
    assert page.draft.options.call_graph == "dwarf"
    qtbot.keyClick(bar.button("dwarf"), Qt.Key.Key_Right)
    assert page.draft.options.call_graph == "none"  # over the one that is off
    qtbot.keyClick(bar.button("none"), Qt.Key.Key_Left)
    assert page.draft.options.call_graph == "dwarf"


def test_what_was_asked_for_and_cannot_work_is_shown_with_the_reason(page: RecordPage) -> None:
    page.show_draft(Draft(options=OptionsDraft(call_graph="lbr", events=("cycles",))))
    assert page.draft.options.call_graph == "lbr"
    assert page.options.call_graph.button("lbr").isChecked()
    assert page.options.graph_tip == "lbr is off: there are no branch records."
    cycles = page.options.events["cycles"]
    assert cycles.isChecked() and cycles.isEnabled()  # so that it can be taken away


def test_the_stack_size_belongs_to_dwarf_and_says_what_it_costs(page: RecordPage, qtbot: QtBot) -> None:
    page.show_draft(Draft(options=OptionsDraft(call_graph="dwarf", frequency=1000, dwarf_stack=8192)))
    assert page.options.stack.isVisible()
    assert page.options.graph_tip.startswith("Copies 8.2 MB of stack a second for each busy CPU.")
    with qtbot.waitSignal(page.options_changed) as heard:
        page.options.stack.setCurrentIndex(2)
    assert heard.args[0].dwarf_stack == 16384
    page.options.call_graph.button("fp").click()
    assert not page.options.stack.isVisible()
    page.show_draft(Draft(options=OptionsDraft(call_graph="dwarf", dwarf_stack=65528)))
    assert page.draft.options.dwarf_stack == 65528
    assert page.options.stack.currentText() == "65,528 B stack"


def test_time_off_the_cpu_is_an_option_of_perf_and_says_why_it_is_off(page: RecordPage, qtbot: QtBot) -> None:
    box = page.options.off_cpu
    assert box.isEnabled() and box.toolTip() == "How long threads wait."
    with qtbot.waitSignal(page.options_changed) as heard:
        box.click()
    assert heard.args[0].off_cpu
    refused = Choice("off-CPU", "Time off the CPU", "", False, "tracepoints can be read by root alone here")
    page.options.offer([replace(PERF, off_cpu=refused), CARGO])
    assert box.isEnabled()  # it was asked for, and can be taken away
    page.show_draft(Draft())
    assert not box.isEnabled() and box.toolTip() == "Off: tracepoints can be read by root alone here."
    page.options.choose_tool(CARGO_FLAMEGRAPH)
    assert not box.isVisible()


def test_the_frequency_shows_the_kernels_limit(page: RecordPage, qtbot: QtBot) -> None:
    assert page.options.limit.text() == "limit: 100,000 Hz"
    with qtbot.waitSignal(page.options_changed) as heard:
        page.options.frequency.setValue(200_000)
    assert heard.args[0].frequency == 200_000
    assert page.options.limit.text() == "above the limit: 100,000 Hz"
    assert page.options.limit.property("rank") == "warn"
    page.offer_tools((replace(PERF, max_frequency=None), CARGO))
    assert page.options.limit.text() == ""


def test_events_are_a_list_to_check_with_reasons(page: RecordPage, qtbot: QtBot) -> None:
    boxes = page.options.events
    assert list(boxes) == ["cycles", "cache-misses", "cpu-clock", "page-faults", "major-faults"]
    assert not boxes["cycles"].isEnabled()
    assert boxes["cycles"].toolTip() == f"Off: {NO_COUNTERS}."
    assert page.options.event_note.text() == (
        f"The processor’s events are off: {NO_COUNTERS}. major-faults is off: this kernel does not count it."
    )
    with qtbot.waitSignal(page.options_changed) as heard:
        boxes["page-faults"].click()
    assert heard.args[0].events == ("cpu-clock", "page-faults")
    with qtbot.waitSignal(page.options_changed) as heard:
        qtbot.keyClicks(page.options.others, "r01c2,cpu/event=0xc2,umask=1/")
    assert page.draft.options.events == ("cpu-clock", "page-faults", "r01c2", "cpu/event=0xc2,umask=1/")


def test_a_recording_needs_an_event(page: RecordPage) -> None:
    page.options.events["cpu-clock"].click()
    assert page.draft.options.events == ("cpu-clock",)
    page.options.events["page-faults"].click()
    page.options.events["cpu-clock"].click()
    assert page.draft.options.events == ("page-faults",)


def test_cargo_flamegraph_takes_one_event(page: RecordPage) -> None:
    page.show_draft(Draft(options=OptionsDraft(events=("cpu-clock", "page-faults"))))
    page.options.cards[1].click()
    assert page.draft.options.events == ("cpu-clock",)
    page.options.events["page-faults"].click()
    assert page.draft.options.events == ("page-faults",)


def test_further_arguments_for_the_tool(page: RecordPage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.options_changed):
        qtbot.keyClicks(page.options.extra, "'")
    assert page.options.extra.property("state") == "bad"
    qtbot.keyClicks(page.options.extra, "a'")
    assert page.options.extra.property("state") == ""
    assert page.draft.options.extra == "'a'"


def test_tools_that_are_offered_later_keep_what_was_asked_for(qtbot: QtBot) -> None:
    page = RecordPage()
    qtbot.addWidget(page)
    page.show_draft(DRAFT)
    assert page.draft == DRAFT
    page.offer_tools((PERF, CARGO))
    assert page.draft == DRAFT


# Presets


def test_presets_are_saved_applied_and_deleted_by_name(page: RecordPage, qtbot: QtBot) -> None:
    bar = page.target.presets
    assert not bar.save.isEnabled() and not bar.delete.isEnabled() and not bar.box.isEnabled()
    page.offer_presets(("fast", "long"), possible=True)
    with qtbot.waitSignal(page.preset_apply_requested) as heard:
        bar.box.setCurrentIndex(2)
        bar.box.activated.emit(2)
    assert heard.args == ["long"]
    assert bar.current == "long"
    with qtbot.waitSignal(page.preset_delete_requested) as heard:
        bar.delete.click()
    assert heard.args == ["long"]
    bar.save.click()
    assert bar.naming and bar.name.text() == "long"
    bar.name.setText(" mine ")
    with qtbot.waitSignal(page.preset_save_requested) as heard:
        qtbot.keyClick(bar.name, Qt.Key.Key_Return)
    assert heard.args == ["mine"]
    assert not bar.naming


def test_naming_a_preset_can_be_left(page: RecordPage, qtbot: QtBot) -> None:
    bar = page.target.presets
    page.offer_presets((), possible=True)
    bar.save.click()
    with qtbot.assertNotEmitted(page.preset_save_requested):
        qtbot.keyClick(bar.name, Qt.Key.Key_Return)  # a preset needs a name
        qtbot.keyClicks(bar.name, "x")
        qtbot.keyClick(bar.name, Qt.Key.Key_Escape)
    assert not bar.naming


# The command and the button


def test_the_exact_command_is_shown_and_copied_and_then_it_can_run(page: RecordPage, qtbot: QtBot) -> None:
    assert not page.record.isEnabled()
    assert page.record.toolTip() == "Choose a program first."
    page.show_assessment(READY)
    assert page.command.toPlainText() == READY.command_line
    assert page.command.isReadOnly()
    assert page.command_note.whole == READY.note
    page.copy.click()
    assert QGuiApplication.clipboard().text() == READY.to_copy
    with qtbot.waitSignal(page.record_requested):
        page.record.click()


def test_why_it_cannot_run_is_the_buttons_tip(page: RecordPage, qtbot: QtBot) -> None:
    page.show_assessment(replace(READY, problem="perf is not installed."))
    assert not page.record.isEnabled()
    assert page.record.toolTip() == "perf is not installed."
    with qtbot.assertNotEmitted(page.record_requested):
        page.record_action.trigger()
    page.show_assessment(None)
    assert page.command.toPlainText() == ""
    assert not page.copy.isEnabled()


def test_ctrl_return_records(page: RecordPage, qtbot: QtBot) -> None:
    page.show_assessment(READY)
    page.target.arguments.setFocus()
    with qtbot.waitSignal(page.record_requested):
        qtbot.keyClick(page.target.arguments, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def test_the_keys_are_said(page: RecordPage) -> None:
    page.show_keys(stop="Ctrl+.", cancel="Ctrl+Shift+.", again="F5")
    page.show_assessment(READY)
    assert "again F5" in page.record_hint.text()
    assert "Record again: F5" in page.record.toolTip()
    assert page.run.stop.toolTip().endswith("Ctrl+.")
    assert page.run.cancel.toolTip().endswith("Ctrl+Shift+.")
    assert page.run.again.toolTip().endswith("F5")
    assert "Ctrl+Return" in page.record_action.toolTip()


def test_it_says_when_it_is_shown_and_can_be_asked_to_look_again(qtbot: QtBot) -> None:
    page = RecordPage()
    qtbot.addWidget(page)
    with qtbot.waitSignal(page.shown):
        page.show()
    with qtbot.waitSignal(page.check_again):
        page.preflight.again.click()
    page.show_checking(True)
    page.show_checking(False)


# A recording, as the page shows it


def test_a_recording_takes_the_page_and_gives_it_back(page: RecordPage, qtbot: QtBot) -> None:
    page.show_assessment(READY)
    assert not page.sides.button(Side.RUN).isEnabled()
    page.begin(RunHead("perf record: engine", "perf record -- engine"))
    assert page.side is Side.RUN
    assert not page.record.isEnabled()
    assert page.record.toolTip() == "A recording runs already."
    page.sides.button(Side.SETTINGS).click()
    assert page.side is Side.SETTINGS
    page.ask_cancel()
    assert page.side is Side.RUN and page.run.asking
    with qtbot.waitSignal(page.cancel_requested):
        page.run.drop.click()
    page.show_end(EndRow("engine", "stopped by you after 1.0 s", crashed=False, cancelled=True))
    assert page.side is Side.SETTINGS
    assert page.last_sentence == "engine: cancelled, nothing was kept."
    assert page.record.isEnabled()


def test_ctrl_f_searches_the_output_of_the_run_from_anywhere(page: RecordPage, qtbot: QtBot) -> None:
    assert not page.run.console.find_action.isEnabled()
    page.begin(RunHead("perf record: engine", "perf record -- engine"))
    page.run.stop.setFocus()
    qtbot.keyClick(page.run.stop, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert page.run.console.field.hasFocus()


def test_the_last_outcome_stays_in_sight_with_a_way_to_the_result(page: RecordPage, qtbot: QtBot) -> None:
    page.begin(RunHead("perf record: engine", "perf record -- engine"))
    page.show_end(EndRow("engine", "killed by SIGSEGV after 12.3 s", crashed=True, cancelled=False))
    assert page.side is Side.RUN  # until the result is open
    page.show_kept()
    assert page.side is Side.SETTINGS
    assert page.last_sentence == "engine: killed by SIGSEGV after 12.3 s."
    with qtbot.waitSignal(page.show_requested):
        page.last_result.click()


def test_a_failure_is_said_and_its_output_stays_in_sight(page: RecordPage) -> None:
    page.begin(RunHead("perf record: engine", "perf record -- engine"))
    page.show_failed(ToolDenied("The kernel refuses performance events to this user.", advice="Lower the limit."))
    assert page.side is Side.RUN
    assert page.last_sentence == "The kernel refuses performance events to this user."
    assert page.run.sentence == page.last_sentence


@pytest.mark.parametrize("signal", ["stop_requested", "again_requested", "show_requested"])
def test_the_runs_wishes_are_the_pages(page: RecordPage, qtbot: QtBot, signal: str) -> None:
    with qtbot.waitSignal(getattr(page, signal)):
        getattr(page.run, signal).emit()


# What it looks like


@pytest.mark.parametrize("tool", [0, 1])
@pytest.mark.parametrize("mode", [theme.Mode.LIGHT, theme.Mode.DARK])
def test_nothing_is_cut_off_at_1280_by_800(page: RecordPage, mode: theme.Mode, tool: int) -> None:
    """Inside the frame of the window the page has 1155 by 724 pixels."""
    theme.set_mode(mode)
    page.show_draft(replace(DRAFT, options=replace(DRAFT.options, call_graph="dwarf")))
    page.options.cards[tool].click()
    page.show_assessment(READY)
    QCoreApplication.processEvents()
    page.grab()
    assert (page.width(), page.height()) == (1155, 724)
    settings = page.options.parentWidget()
    scrolled = next(area for area in page.findChildren(QScrollArea) if area.isAncestorOf(page.options))
    assert scrolled.verticalScrollBar().maximum() == 0
    for field in (*page.options.events.values(), page.options.extra, page.options.others, page.options.frequency):
        bottom = field.mapTo(page, field.rect().bottomLeft()).y()
        assert bottom < page.command.mapTo(page, field.rect().topLeft()).y()
        assert field.height() >= 17
    assert settings is not None and settings.minimumSizeHint().height() <= settings.height()
    for made in page.findChildren(QLabel):
        if made.isVisible() and made.wordWrap() and not made.findChildren(QScrollArea):
            assert made.height() >= made.heightForWidth(made.width()) - 1 or made.toolTip(), made.text()


def test_a_narrow_page_scrolls_and_lays_nothing_over_anything(page: RecordPage, qtbot: QtBot) -> None:
    """Inside the smallest window the page has 835 by 524 pixels."""
    page.show_draft(DRAFT)
    page.show_assessment(READY)
    page.resize(835, 524)
    qtbot.waitUntil(lambda: page.preflight.mapTo(page, page.preflight.rect().topLeft()).x() < 200)
    QCoreApplication.processEvents()
    for form in (page.options, page.target):
        assert form.height() >= form.minimumSizeHint().height()
    assert all(box.height() >= 17 for box in page.options.events.values())
    page.resize(1155, 724)
    qtbot.waitUntil(lambda: page.preflight.mapTo(page, page.preflight.rect().topLeft()).x() > 600)
