"""Every action of the window, in one table: words, icon, keys, tip. The palette and the keys sheet read it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence

from tailflame_gui import icons


@dataclass(frozen=True, slots=True)
class Spec:
    """`tip` is a full sentence; the keys are added to it."""

    name: str
    group: str
    text: str
    icon: str
    tip: str
    keys: tuple[str, ...] = ()
    checkable: bool = False


EXPORTED = ("svg", "png", "folded", "speedscope", "firefox", "pprof")
"""What a result is exported as: of each there is an action "export_KIND"."""

SPECS: tuple[Spec, ...] = (
    Spec("start", "Go to", "Start", "house", "Recent sessions and what you can do from here.", ("Alt+1",)),
    Spec("record_page", "Go to", "Record", "circle-dot", "Choose a program and record it.", ("Ctrl+R", "Alt+2")),
    Spec("live", "Go to", "Live", "activity", "Look at a program while it runs.", ("Ctrl+L", "Alt+3")),
    Spec("results", "Go to", "Results", "flame", "The results that are open.", ("Alt+4",)),
    Spec("compare", "Go to", "Compare", "git-compare", "Two results side by side, and what changed.", ("Alt+5",)),
    Spec(
        "loop",
        "Go to",
        "Loop",
        "target",
        "Baseline, hotspots, change, measure, verdict: what a change is worth.",
        ("Ctrl+Shift+L",),
    ),
    Spec(
        "measure", "Loop", "Measure the project", "circle-dot", "Run the project's plan, and judge it.", ("Shift+F5",)
    ),
    Spec(
        "measure_more",
        "Loop",
        "Measure more repetitions",
        "rotate-ccw",
        "As many as the verdict asks for, of the measurement and of the baseline.",
    ),
    Spec("library", "Go to", "Library", "library", "All sessions of the profiles folder.", ("Alt+6",)),
    Spec("console", "Go to", "Console", "terminal", "Every command that was run, and how it ended.", ("Alt+7",)),
    Spec("tools", "Go to", "Tools", "book-open", "What each tool answers, costs, and would run now.", ("Alt+8",)),
    Spec(
        "recipes",
        "Go to",
        "Probes…",
        "code",
        "Ask the kernel one question about a program, with bpftrace.",
        ("Alt+9",),
    ),
    Spec("palette", "Go to", "Search…", "search", "Search actions, open results and sessions.", ("Ctrl+K",)),
    Spec("open", "File", "Open…", "folder-open", "Open result files of any format.", ("Ctrl+O",)),
    Spec("demo", "File", "Open the demo", "flame-kindling", "Open the sample session that ships with Tailflame."),
    Spec(
        "record_demo",
        "Record",
        "Record the demo",
        "flame-kindling",
        "Build the demo target, record it for some seconds, and open the result.",
    ),
    Spec("profiles", "File", "Choose the profiles folder…", "folder", "Choose the folder that keeps the sessions."),
    Spec("quit", "File", "Quit", "x", "Stop what runs politely, keep it, and quit.", ("Ctrl+Q",)),
    Spec("record_again", "Record", "Record again", "rotate-ccw", "Record once more with the same settings.", ("F5",)),
    Spec("stop", "Record", "Stop recording", "square", "Stop the recording politely and open its result.", ("Ctrl+.",)),
    Spec("cancel", "Record", "Cancel recording", "ban", "Stop the recording and throw it away.", ("Ctrl+Shift+.",)),
    Spec("attach", "Live", "Attach…", "activity", "Choose a running program and look at it.", ("Ctrl+Shift+A",)),
    Spec(
        "continuous",
        "Live",
        "Profile continuously…",
        "activity",
        "Choose a running program, and record where its time goes for hours, at low cost.",
    ),
    Spec(
        "watch_folder",
        "File",
        "Watch a folder…",
        "folder-open",
        "Each profile that a program writes into the folder becomes a slice of one strip.",
    ),
    Spec(
        "snapshots",
        "Result",
        "Snapshots: cumulative or each by itself",
        "rotate-ccw",
        "Whether each file of the watched folder counts from the program's start, and is shown less the one before it.",
    ),
    Spec(
        "stop_live",
        "Live",
        "Stop or detach",
        "square",
        "End a launched program politely, or let go of one that was attached to; what was seen is kept.",
        ("Ctrl+Shift+D",),
    ),
    Spec("close_tab", "Result", "Close tab", "x", "Close the current tab.", ("Ctrl+W",)),
    Spec(
        "reopen_tab",
        "Result",
        "Reopen closed tab",
        "history",
        "Open the tab again that was closed last.",
        ("Ctrl+Shift+T",),
    ),
    Spec("next_tab", "Result", "Next tab", "chevron-right", "Show the next tab.", ("Ctrl+Tab", "Ctrl+PgDown")),
    Spec(
        "previous_tab",
        "Result",
        "Previous tab",
        "chevron-left",
        "Show the previous tab.",
        ("Ctrl+Shift+Tab", "Ctrl+PgUp"),
    ),
    Spec("pin", "Result", "Pin as baseline", "pin", "Make this result the baseline of its binary.", ("Ctrl+B",)),
    Spec("unpin", "Result", "Unpin the baseline", "pin-off", "This result is the baseline no more.", ("Ctrl+Shift+B",)),
    Spec(
        "compare_baseline",
        "Result",
        "Compare with the baseline",
        "git-compare",
        "Compare the baseline of this result's binary with this result.",
        ("Ctrl+D",),
    ),
    Spec(
        "export_svg", "Export", "Export as SVG…", "download", "A flame graph that works in every browser.", ("Ctrl+E",)
    ),
    Spec("export_png", "Export", "Export as PNG…", "image", "A picture of the flame graph as it is shown."),
    Spec("export_folded", "Export", "Export as folded stacks…", "download", "One line per stack, for other tools."),
    Spec("export_speedscope", "Export", "Export as speedscope JSON…", "download", "For speedscope and what reads it."),
    Spec("export_firefox", "Export", "Export as Firefox Profiler JSON…", "download", "For profiler.firefox.com."),
    Spec("export_pprof", "Export", "Export as pprof…", "download", "For go tool pprof and what reads its profiles."),
    Spec("theme_system", "View", "Colours of the system", "monitor", "Follow the desktop's colours.", (), True),
    Spec("theme_light", "View", "Light colours", "sun", "Always light.", (), True),
    Spec("theme_dark", "View", "Dark colours", "moon", "Always dark.", (), True),
    Spec("editor", "View", "Set the editor…", "code", "The command that opens source lines."),
    Spec("source_map", "View", "Set the path map…", "file-code", "Where sources are that were built in another place."),
    Spec(
        "debuginfod",
        "View",
        "Ask debuginfod servers",
        "download",
        "Fetch missing symbols from the servers in DEBUGINFOD_URLS. They learn which builds are profiled here.",
        (),
        True,
    ),
    Spec("settings", "View", "Settings", "settings", "Colours, editor, and where sessions are kept.", ("Ctrl+,",)),
    Spec("keys", "Help", "Keys", "keyboard", "Every key of the window.", ("F1",)),
)


class Actions(QObject):
    """The QActions of SPECS by name: `actions["open"].triggered.connect(...)`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._by_name: dict[str, QAction] = {}
        for spec in SPECS:
            action = QAction(icons.icon(spec.icon), spec.text, self)
            action.setObjectName(spec.name)
            action.setShortcuts([QKeySequence(keys) for keys in spec.keys])
            action.setCheckable(spec.checkable)
            action.setProperty("group", spec.group)
            action.setProperty("glyph", spec.icon)
            describe(action, spec.tip)
            self._by_name[spec.name] = action

    def __getitem__(self, name: str) -> QAction:
        return self._by_name[name]

    def all(self) -> tuple[QAction, ...]:
        return tuple(self._by_name.values())


def describe(action: QAction, tip: str) -> None:
    """Gives `action` a tool tip with its keys: "Open result files. Ctrl+O"."""
    keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    action.setToolTip(f"{tip}  {keys}" if keys else tip)
    action.setStatusTip(tip)
