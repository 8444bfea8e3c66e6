"""The tools as a list, and the options of the one that is chosen. What cannot work here is off and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QComboBox, QGridLayout, QLineEdit, QSpinBox, QWidget

from tailflame import units
from tailflame_gui import plain
from tailflame_gui.record_model import MAX_FREQUENCY, Choice, FieldValue, OptionsDraft, ToolChoice, split
from tailflame_gui.views.field_form import FieldForm
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.form import Form, inset
from tailflame_gui.widgets.parts import clear, column, label, row, set_rank
from tailflame_gui.widgets.tool_card import ToolCard, ToolHead, card_list

_ACROSS = 2
"""Columns of events."""
_EVENT_HEIGHT = 18


class OptionsForm(QWidget):
    """changed(): an option is another one. tool_chosen(name): another tool of the list."""

    changed = Signal()
    tool_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._tools: tuple[ToolChoice, ...] = ()
        self._name = OptionsDraft().tool
        self._events: dict[str, QCheckBox] = {}
        self._asked: tuple[str, ...] = OptionsDraft().events
        self._cards = QButtonGroup(self)
        self._cards.idClicked.connect(self._card_clicked)
        self._card_column = column(spacing=0)
        self._values: dict[str, Mapping[str, FieldValue]] = {}
        """What was set for each tool whose options are fields."""
        self.head = ToolHead()
        self.field_form = FieldForm()
        self.field_form.changed.connect(self._edited)
        self._build_fields()
        form = Form(spacing=4)
        form.line("Call graph", self.call_graph)
        form.line("Copied", self._stack_row, name="stack")
        form.whole(self._graph_tip)
        form.line("Frequency", self._frequency_row)
        self._sampling_form = form
        self._sampling = QWidget()
        sampling = column(spacing=4)
        sampling.addLayout(form)
        sampling.addWidget(self._event_box)
        self._sampling.setLayout(sampling)
        further = Form(spacing=6)
        further.line("More", self._further_row)
        options = column(spacing=4)
        options.addWidget(self.head)
        options.addWidget(self._sampling)
        options.addWidget(self.field_form)
        options.addLayout(further)
        options.addStretch()
        layout = row(spacing=16)
        layout.addLayout(self._card_column)
        layout.setAlignment(self._card_column, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(options, 1)
        self.setLayout(layout)
        self.show_draft(OptionsDraft())

    def _build_fields(self) -> None:
        self.call_graph = ChoiceBar("Call graph")
        self.call_graph.chosen.connect(lambda _value: self._edited())
        self._graph_tip = label("", "small", wrap=True)
        self.stack = QComboBox()
        self.stack.setToolTip("How much of the stack is copied with each sample. Deep stacks need more.")
        self.stack.setAccessibleName("Stack copied with each sample")
        self.stack.setMinimumWidth(128)
        self.stack.currentIndexChanged.connect(lambda _at: self._edited())
        self._stack_row = row(spacing=8)
        self._stack_row.addWidget(self.stack)
        self._stack_row.addStretch()
        self.frequency = QSpinBox()
        self.frequency.setRange(1, MAX_FREQUENCY)
        self.frequency.setSuffix(" Hz")
        self.frequency.setGroupSeparatorShown(False)
        self.frequency.setFixedWidth(104)
        inset(self.frequency)
        self.frequency.setToolTip("Samples per second of CPU time, for each event. A prime avoids beating.")
        self.frequency.setAccessibleName("Frequency")
        self.frequency.valueChanged.connect(lambda _value: self._edited())
        self.limit = label("", "small")
        self._frequency_row = row(spacing=8)
        self._frequency_row.addWidget(self.frequency)
        self._frequency_row.addWidget(self.limit)
        self._frequency_row.addStretch()
        self._event_grid = QGridLayout()
        self._event_grid.setContentsMargins(0, 0, 0, 0)
        self._event_grid.setHorizontalSpacing(12)
        self._event_grid.setVerticalSpacing(0)
        self.event_note = label("", "small", wrap=True)
        self.others = QLineEdit()
        self.others.setProperty("face", "mono")
        self.others.setPlaceholderText("other events")
        self.others.setToolTip(
            "Further events by perf’s names, separated by commas: sched:sched_switch,r01c2. `perf list` shows them."
        )
        self.others.setAccessibleName("Further events")
        self.others.textEdited.connect(lambda _text: self._edited())
        self.off_cpu = QCheckBox("Time off the CPU")
        self.off_cpu.setFixedHeight(_EVENT_HEIGHT)
        self.off_cpu.clicked.connect(lambda _on: self._edited())
        self._event_box = QWidget()
        lines = column(spacing=4)
        lines.addLayout(self._event_grid)
        lines.addWidget(self.off_cpu)
        lines.addWidget(self.event_note)
        self._event_box.setLayout(lines)
        self.extra = QLineEdit()
        self.extra.setProperty("face", "mono")
        self.extra.setPlaceholderText("arguments for the tool")
        self.extra.setToolTip("Passed to the tool itself, before the program. Split as a shell does.")
        self.extra.setAccessibleName("Further arguments for the tool")
        self.extra.textEdited.connect(lambda _text: self._edited())
        self._further_row = row(spacing=8)
        self._further_row.addWidget(self.others, 1)
        self._further_row.addWidget(self.extra, 1)

    # What stands in it

    @property
    def tool(self) -> ToolChoice | None:
        return next((tool for tool in self._tools if tool.name == self._name), None)

    def draft(self, *, profile: str = "", features: str = "") -> OptionsDraft:
        return OptionsDraft(
            tool=self._name,
            call_graph=self.call_graph.value,
            frequency=self.frequency.value(),
            events=self._asked if self._by_fields else self._chosen_events(),
            dwarf_stack=int(self.stack.currentData() or OptionsDraft().dwarf_stack),
            off_cpu=self.off_cpu.isChecked(),
            extra=self.extra.text(),
            profile=profile,
            features=features,
            values=self.field_form.values if self._by_fields else self._values.get(self._name, {}),
        )

    def draft_for(self, name: str) -> OptionsDraft:
        """Another tool with what was last set for it, the common settings as they stand here."""
        now = self.draft()
        if name == now.tool:
            return now
        return replace(now, tool=name, extra="", values=self._values.get(name, {}))

    @property
    def tools(self) -> tuple[ToolChoice, ...]:
        return self._tools

    @property
    def _by_fields(self) -> bool:
        tool = self.tool
        return tool is not None and tool.fields is not None

    def show_draft(self, draft: OptionsDraft) -> None:
        """Fills the fields without announcing it."""
        with QSignalBlocker(self):
            self._name = draft.tool
            self._asked = draft.events
            self._values[draft.tool] = draft.values
            self.call_graph.choose(draft.call_graph)
            with QSignalBlocker(self.frequency):
                self.frequency.setValue(draft.frequency)
            self._choose_stack(draft.dwarf_stack)
            self.off_cpu.setChecked(draft.off_cpu)
            self.extra.setText(draft.extra)
            self._refresh()

    def offer(self, tools: Sequence[ToolChoice]) -> None:
        """The tools of this machine, with what works here."""
        if tuple(tools) == self._tools:
            return
        stack = int(self.stack.currentData() or OptionsDraft().dwarf_stack)
        self._tools = tuple(tools)
        for card in self._cards.buttons():
            self._cards.removeButton(card)
        clear(self._card_column)
        cards = [ToolCard(tool) for tool in self._tools]
        for at, card in enumerate(cards):
            self._cards.addButton(card, at)
        self._card_column.addWidget(card_list(cards))
        self._go_first(cards)
        self._refresh()
        self._choose_stack(stack)

    def _go_first(self, cards: Sequence[ToolCard]) -> None:
        """They come late, and the Tab key reaches them before what else this form holds."""
        before = self.previousInFocusChain() or self
        while before is not self and (before.focusPolicy() == Qt.FocusPolicy.NoFocus or before in cards):
            before = before.previousInFocusChain() or self
        for card in cards:
            QWidget.setTabOrder(before, card)
            before = card

    def choose_tool(self, name: str) -> None:
        """Shows another tool's options, without announcing it."""
        if name != self._name:
            self._name = name
            self._refresh()

    @property
    def cards(self) -> tuple[ToolCard, ...]:
        return tuple(card for card in self._cards.buttons() if isinstance(card, ToolCard))

    @property
    def events(self) -> dict[str, QCheckBox]:
        """The boxes by the events' names."""
        return dict(self._events)

    @property
    def graph_tip(self) -> str:
        return self._graph_tip.text()

    # Showing

    def _refresh(self) -> None:
        tool = self.tool
        for card in self.cards:
            card.setChecked(card.tool.name == self._name)
        fields = tool.fields if tool is not None else None
        self.head.show_tool(tool)
        self._sampling.setVisible(fields is None)
        self.others.setVisible(fields is None)
        self.field_form.setVisible(fields is not None)
        with QSignalBlocker(self):
            if fields is not None:
                self.field_form.offer(fields, self._values.get(self._name, {}))
            elif tool is not None:
                self.call_graph.offer(tool.call_graphs)
                self.call_graph.choose(self.call_graph.value)
                self._offer_stacks(tool.dwarf_stacks)
            if fields is None:
                self._show_events(tool)
                self._show_off_cpu(tool)
        self._say()

    def _offer_stacks(self, sizes: tuple[int, ...]) -> None:
        if [self.stack.itemData(at) for at in range(self.stack.count())] == list(sizes):
            return
        wanted = int(self.stack.currentData() or OptionsDraft().dwarf_stack)
        with QSignalBlocker(self.stack):
            self.stack.clear()
            for size in sizes:
                self.stack.addItem(_kib(size), size)
        self._choose_stack(wanted)

    def _choose_stack(self, size: int) -> None:
        with QSignalBlocker(self.stack):
            if self.stack.findData(size) < 0:
                self.stack.addItem(_kib(size), size)
            self.stack.setCurrentIndex(self.stack.findData(size))

    def _show_events(self, tool: ToolChoice | None) -> None:
        choices = tool.events if tool is not None else ()
        while (item := self._event_grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._events = {}
        line = 0
        for group in dict.fromkeys(choice.group for choice in choices):
            members = [choice for choice in choices if choice.group == group]
            heading = label(f"{group} events", "small")
            heading.setFixedHeight(_EVENT_HEIGHT)
            self._event_grid.addWidget(heading, line, 0, 1, _ACROSS)
            deep = -(-len(members) // _ACROSS)
            for at, choice in enumerate(members):
                box = QCheckBox(choice.text)
                box.setFixedHeight(_EVENT_HEIGHT)
                box.setChecked(choice.value in self._asked)
                # What was asked for can always be taken away again.
                box.setEnabled(choice.available or box.isChecked())
                box.setToolTip(choice.tip if choice.available else plain.tip(f"Off: {choice.reason}."))
                box.setAccessibleDescription(box.toolTip())
                box.clicked.connect(lambda on, name=choice.value: self._event_clicked(name, on))
                self._event_grid.addWidget(box, line + 1 + at % deep, at // deep)
                self._events[choice.value] = box
            line += 1 + deep
        self.event_note.setText(_reasons(choices))
        self.event_note.setVisible(bool(self.event_note.text()))
        further = [name for name in self._asked if name not in self._events]
        if ",".join(further) != ",".join(_listed(self.others.text())):
            self.others.setText(",".join(further))

    def _show_off_cpu(self, tool: ToolChoice | None) -> None:
        choice = tool.off_cpu if tool is not None else None
        self.off_cpu.setVisible(choice is not None)
        if choice is not None:
            # What was asked for can always be taken away again.
            self.off_cpu.setEnabled(choice.available or self.off_cpu.isChecked())
            self.off_cpu.setToolTip(plain.tip(choice.tip if choice.available else f"Off: {choice.reason}."))
            self.off_cpu.setAccessibleDescription(self.off_cpu.toolTip())

    def _say(self) -> None:
        tool = self.tool
        self._sampling_form.show_line("stack", self.call_graph.value == "dwarf")
        chosen = next((c for c in self.call_graph.choices if c.value == self.call_graph.value), None)
        off = [f"{c.text} is off: {c.reason}." for c in self.call_graph.choices if not c.available]
        if chosen is not None and chosen.available:
            text, rank = " ".join([self._volume() or chosen.tip, *off]), "small"
        else:
            text, rank = " ".join(off), "warn" if chosen is not None else "small"
        self._graph_tip.setText(text)
        set_rank(self._graph_tip, rank)
        limit = tool.max_frequency if tool is not None else None
        above = limit is not None and self.frequency.value() > limit
        self.limit.setText("" if limit is None else f"{'above the limit' if above else 'limit'}: {limit:,} Hz")
        self.limit.setToolTip("The kernel takes no more samples a second than this.")
        set_rank(self.limit, "warn" if above else "small")

    def _volume(self) -> str:
        """How much the copied stacks come to, "" where none are."""
        if self.call_graph.value != "dwarf":
            return ""
        number = max(len(self._chosen_events()), 1)
        size = int(self.stack.currentData() or 0) * self.frequency.value() * number
        return f"Copies {units.size(size)} of stack a second for each busy CPU."

    # What the user does

    def _chosen_events(self) -> tuple[str, ...]:
        """In the order of the list, the further ones last."""
        boxes = tuple(name for name, box in self._events.items() if box.isChecked())
        if not self._events:
            return self._asked
        return (*boxes, *(name for name in _listed(self.others.text()) if name not in boxes))

    def _event_clicked(self, name: str, on: bool) -> None:
        tool = self.tool
        if tool is not None and not tool.many_events:
            for other, box in self._events.items():
                box.setChecked(other == name)
            self.others.clear()
        elif not on and not self._chosen_events():
            self._events[name].setChecked(True)  # a recording needs an event
        self._edited()

    def _card_clicked(self, at: int) -> None:
        name = self._tools[at].name
        if name != self._name:
            self._keep_choices()
            tool = self._tools[at]
            if not tool.many_events:
                self._asked = self._asked[:1]
            self._name = name
            self._refresh()
            self.tool_chosen.emit(name)
            self.changed.emit()

    def _keep_choices(self) -> None:
        if self._by_fields:
            self._values[self._name] = self.field_form.values
        else:
            self._asked = self._chosen_events()

    def _edited(self) -> None:
        self._keep_choices()
        read = split(self.extra.text())
        bad = "bad" if read.problem else ""
        if self.extra.property("state") != bad:
            self.extra.setProperty("state", bad)
            self.extra.style().unpolish(self.extra)
            self.extra.style().polish(self.extra)
        self._say()
        self.changed.emit()


def _listed(text: str) -> list[str]:
    """Events by name; a comma inside a PMU's slashes (`cpu/event=0xc2,umask=1/`) does not separate."""
    names: list[str] = []
    inside = False
    word = ""
    for sign in text:
        if sign == "/":
            inside = not inside
        if sign == "," and not inside:
            names.append(word)
            word = ""
        else:
            word += sign
    return [name.strip() for name in [*names, word] if name.strip()]


def _reasons(choices: Sequence[Choice]) -> str:
    """Why some are off, each reason once, and whom it concerns where not a whole group."""
    said = []
    for reason in dict.fromkeys(choice.reason for choice in choices if not choice.available):
        off = [choice for choice in choices if not choice.available and choice.reason == reason]
        group = {choice.group for choice in off}
        whole = len(group) == 1 and len(off) == sum(choice.group in group for choice in choices)
        who = f"The {off[0].group.lower()}’s events are" if whole else ", ".join(c.text for c in off)
        who = who if whole else f"{who} {'is' if len(off) == 1 else 'are'}"
        said.append(f"{who} off: {reason}.")
    return " ".join(said)


def _kib(size: int) -> str:
    return f"{size // 1024} KiB stack" if size % 1024 == 0 else f"{size:,} B stack"
