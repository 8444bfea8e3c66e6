"""What the keys of the views do, in words, for the keys sheet and the palette.

Views set shortcuts without words; here each has its sentence. A test finds a shortcut that has none.
"""

from __future__ import annotations

from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from tailflame_gui.widgets.palette import Entry

KeyLine = tuple[str, str, str]
"""(group, what it does, keys)."""

_GROUPS = {
    "ResultView": "Result",
    "FlameView": "Flame graph",
    "HotspotsView": "Hotspots",
    "CallTreeView": "Call tree",
    "TreeTable": "Call tree",
    "SandwichView": "Callers and callees",
    "TimelineView": "Timeline",
    "SourceView": "Source",
    "CompareView": "Comparison",
    "DeltaView": "Table of changes",
    "CacheView": "Caches",
    "CacheComparison": "Caches compared",
    "HeapView": "Memory",
    "HeapComparison": "Heaps compared",
}
_WORDS = {
    ("ResultView", "Ctrl+I"): "Show or hide the inspector",
    ("FlameView", "Ctrl+F"): "Search",
    ("HotspotsView", "Ctrl+F"): "Filter",
    ("CallTreeView", "Ctrl+F"): "Search",
    ("CallTreeView", "Ctrl+Left"): "Close all",
    ("TreeTable", "/"): "Search",
    ("TreeTable", "H"): "Open the hottest path",
    ("TreeTable", "N"): "Next match",
    ("TreeTable", "M"): "Match before",
    ("SandwichView", "Alt+Left"): "Back",
    ("SandwichView", "Alt+Right"): "Forward",
    ("SandwichView", "Ctrl+Return"): "Open the source",
    ("SandwichView", "Ctrl+F"): "Search",
    ("SourceView", "Alt+Left"): "Back",
    ("SourceView", "Alt+Right"): "Forward",
    ("SourceView", "Ctrl+Return"): "Open the source in the editor",
    ("SourceView", "Ctrl+F"): "Search",
    ("CompareView", "Ctrl+1"): "Show or hide the two graphs",
    ("CompareView", "Ctrl+2"): "Show or hide the difference",
    ("CompareView", "Ctrl+3"): "Show or hide the table of changes",
    ("CompareView", "Ctrl+Shift+X"): "Exchange baseline and candidate",
    ("DeltaView", "Ctrl+F"): "Filter",
    ("CacheView", "Ctrl+F"): "Filter",
    ("CacheComparison", "Ctrl+F"): "Filter",
}


def key_lines(page: QWidget) -> list[KeyLine]:
    """The keys of the views that `page` shows now."""
    lines: list[KeyLine] = []
    for shortcut, owner in shown_shortcuts(page):
        words = words_of(shortcut, owner)
        if words is not None:
            keys = shortcut.key().toString(QKeySequence.SequenceFormat.NativeText)
            lines.append((_GROUPS[type(owner).__name__], words, keys))
    from tailflame_gui.widgets.code_table import KEYS as CODE_KEYS  # late: no page at the start has one
    from tailflame_gui.widgets.code_table import CodeTable
    from tailflame_gui.widgets.flame_graph import KEYS as GRAPH_KEYS
    from tailflame_gui.widgets.flame_graph import FlameGraph
    from tailflame_gui.widgets.heap_plot import KEYS as HEAP_KEYS
    from tailflame_gui.widgets.heap_plot import HeapPlot

    if any(graph.isVisibleTo(page) for graph in page.findChildren(FlameGraph)):
        lines += [("Flame graph", words[:1].upper() + words[1:], keys) for keys, words in GRAPH_KEYS]
    if any(plot.isVisibleTo(page) for plot in page.findChildren(HeapPlot)):
        lines += [("Memory", words, keys) for keys, words in HEAP_KEYS]
    if any(table.isVisibleTo(page) for table in page.findChildren(CodeTable)):
        lines += [("Source", words[:1].upper() + words[1:], keys) for keys, words in CODE_KEYS]
    return list(dict.fromkeys(lines))


def key_entries(page: QWidget) -> list[Entry]:
    """The same for the palette: choosing a line does what its keys do."""
    entries: dict[tuple[str, str], Entry] = {}
    for shortcut, owner in shown_shortcuts(page):
        words = words_of(shortcut, owner)
        if words is not None and shortcut.isEnabled():
            group = _GROUPS[type(owner).__name__]
            keys = shortcut.key().toString(QKeySequence.SequenceFormat.NativeText)
            entries.setdefault((group, words), Entry(words, group, shortcut.activated.emit, keys=keys))
    return list(entries.values())


def words_of(shortcut: QShortcut, owner: QWidget) -> str | None:
    """None where nobody has written what it does. What a key leads to may differ: the shortcut says it then."""
    return shortcut.whatsThis() or _WORDS.get((type(owner).__name__, shortcut.key().toString()))


def shown_shortcuts(page: QWidget) -> list[tuple[QShortcut, QWidget]]:
    """Shortcuts of visible widgets below `page`."""
    owned = [(shortcut, shortcut.parent()) for shortcut in page.findChildren(QShortcut)]
    return [(shortcut, owner) for shortcut, owner in owned if isinstance(owner, QWidget) and owner.isVisibleTo(page)]
