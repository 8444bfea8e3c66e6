"""What Tailflame remembers for the user: recent binaries, presets, editor, source map, profiles folder, theme.

One versioned JSON file, replaced whole. A damaged one is set aside with a notice and never stops anything; one of
a newer Tailflame is left alone and not written over.

    TAILFLAME_CONFIG_DIR     where settings.json lies     (default: XDG, ~/.config/tailflame)
    TAILFLAME_PROFILES       the profiles folder          (default: the setting, then ~/.local/share/tailflame/profiles)
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import platformdirs

from tailflame.errors import StoreError, StoreVersionError
from tailflame.store.files import absolute, locked, read_json, reason, write_json
from tailflame.store.upgrade import SETTINGS

RECENT = 20
THEMES = ("system", "light", "dark")
Preset: TypeAlias = Mapping[str, Any]
"""Options by name: JSON values only; whoever writes it reads it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Immutable; `remembering` and the like give a changed copy for `update_settings`."""

    recent_binaries: tuple[str, ...] = ()
    """Newest first."""
    recent_files: tuple[str, ...] = ()
    presets: Mapping[str, Preset] = field(default_factory=dict)
    """The last options used, by binary."""
    editor: str = ""
    """A command with %f (file) and %l (line); "" for $VISUAL or $EDITOR."""
    profiles: str = ""
    """The profiles folder; "" for the usual place."""
    source_map: tuple[tuple[str, str], ...] = ()
    """Where sources lie now: (how a path begins in the debug information, how it begins here), tried in this order."""
    debuginfod: bool = False
    """Whether the servers that DEBUGINFOD_URLS names may be asked for symbols: they learn which builds are profiled."""
    theme: str = "system"
    window: Mapping[str, Any] = field(default_factory=dict)
    """The window's own state (geometry, open panels): JSON values."""

    def remembering(self, binary: str | Path, preset: Preset | None = None) -> Settings:
        """With `binary` at the head of the recent ones, and its options."""
        place = absolute(binary)
        presets = dict(self.presets)
        if preset is not None:
            presets[place] = dict(preset)
        return replace(self, recent_binaries=_to_front(self.recent_binaries, place), presets=presets)

    def having_opened(self, file: str | Path) -> Settings:
        return replace(self, recent_files=_to_front(self.recent_files, absolute(file)))

    def preset_of(self, binary: str | Path) -> Preset:
        return self.presets.get(absolute(binary), {})


def _to_front(places: tuple[str, ...], place: str) -> tuple[str, ...]:
    return (place, *(other for other in places if other != place))[:RECENT]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`notice` tells what was wrong with the file, "" when nothing was."""

    settings: Settings
    notice: str = ""
    writable: bool = True


def config_folder() -> Path:
    """Raises StoreError where neither a variable nor a home tells it."""
    override = os.environ.get("TAILFLAME_CONFIG_DIR")
    return Path(override) if override else _of_user(platformdirs.user_config_dir)


def profiles_folder(settings: Settings) -> Path:
    """Where sessions are kept. StoreError where neither a variable, nor the settings, nor a home tells it."""
    chosen = os.environ.get("TAILFLAME_PROFILES") or settings.profiles
    if chosen:
        return Path(absolute(os.path.expanduser(chosen)))  # noqa: PTH111 - leaves "~" of nobody as it is
    return _of_user(platformdirs.user_data_dir) / "profiles"


def _of_user(folder: Callable[..., str]) -> Path:
    try:
        return Path(folder("tailflame", appauthor=False))
    except RuntimeError as error:  # a number without an entry in /etc/passwd, as in containers, and no HOME
        raise StoreError(
            "Your home folder is not known: HOME is not set, and the system has no entry for this user.",
            advice="Set HOME to a folder that you may write to.",
        ) from error


def load_settings() -> Loaded:
    """The settings, or the defaults with a notice. StoreError only where there is no place for settings at all."""
    path = config_folder() / "settings.json"
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return Loaded(Settings())
    except OSError as error:  # another user's, as HOME may be after su: nothing is wrong with the file
        return Loaded(Settings(), f"{path} cannot be read: {reason(error)}. The defaults are used.", writable=False)
    try:
        return Loaded(_decode(path))
    except StoreVersionError as error:
        return Loaded(Settings(), f"{error} The defaults are used and nothing is saved.", writable=False)
    except StoreError as error:
        aside = path.with_name(f"settings.damaged-{datetime.now():%Y%m%d_%H%M%S}.json")
        try:
            path.rename(aside)
        except OSError:
            return Loaded(Settings(), f"{error} The defaults are used.", writable=False)
        return Loaded(Settings(), f"{error} The defaults are used; the damaged file is now {aside}.")


def update_settings(change: Callable[[Settings], Settings]) -> Settings:
    """Applies `change` to what is on disk now, so that two Tailflames do not undo each other, and saves it.

    StoreError where the file cannot be written; a newer Tailflame's file is left as it is.
    """
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}.", advice="Check its permissions.") from error
    with locked(folder):
        loaded = load_settings()
        settings = change(loaded.settings)
        if loaded.writable and (settings != loaded.settings or not (folder / "settings.json").exists()):
            write_json(folder / "settings.json", _document(settings))
    return settings


def _document(settings: Settings) -> dict[str, Any]:
    return {
        "format": "tailflame settings",
        "version": SETTINGS.version,
        "recent_binaries": list(settings.recent_binaries),
        "recent_files": list(settings.recent_files),
        "presets": {binary: dict(preset) for binary, preset in settings.presets.items()},
        "editor": settings.editor,
        "profiles": settings.profiles,
        "source_map": [{"from": old, "to": new} for old, new in settings.source_map],
        "debuginfod": settings.debuginfod,
        "theme": settings.theme,
        "window": dict(settings.window),
    }


def _decode(path: Path) -> Settings:
    fields = SETTINGS.upgraded(read_json(path))
    presets = fields.part("presets")
    theme = fields.text("theme", "system")
    return Settings(
        recent_binaries=fields.texts("recent_binaries")[:RECENT],
        recent_files=fields.texts("recent_files")[:RECENT],
        presets={binary: presets.part(binary).document for binary in presets.document},
        editor=fields.text("editor", ""),
        profiles=fields.text("profiles", ""),
        source_map=tuple((part.text("from"), part.text("to")) for part in fields.parts("source_map")),
        debuginfod=fields.flag("debuginfod", False),
        theme=theme if theme in THEMES else "system",
        window=fields.part("window").document,
    )


@dataclass(frozen=True, slots=True)
class EditorCommand:
    """`argv` opens the place; an editor that `needs_terminal` must be given one."""

    argv: tuple[str, ...]
    needs_terminal: bool


_IN_TERMINAL = frozenset({"vi", "vim", "nvim", "nano", "micro", "hx", "helix", "kak", "joe", "ne"})
_PLACE = {
    # How the editors that $VISUAL commonly names are told the line.
    **dict.fromkeys(("code", "codium", "code-oss", "cursor", "windsurf"), ("--goto", "%f:%l")),
    **dict.fromkeys(("subl", "zed", "zeditor", "hx", "helix"), ("%f:%l",)),
    **dict.fromkeys(("kate", "kwrite"), ("--line", "%l", "%f")),
    **dict.fromkeys(("idea", "clion", "rustrover", "rust-rover"), ("--line", "%l", "%f")),
    "qtcreator": ("-client", "%f:%l"),
}
_PLUS_LINE = ("+%l", "%f")  # vi, vim, nvim, gvim, nano, emacs, emacsclient, gedit, joe, micro, kak


def editor_command(settings: Settings, file: str | Path, line: int = 1) -> EditorCommand:
    """How to open `file` at `line` in the user's editor: the chosen command, else $VISUAL, else $EDITOR.

    StoreError where none is set, the command cannot be split, or its program is missing.
    """
    command = settings.editor or os.environ.get("VISUAL", "") or os.environ.get("EDITOR", "")
    advice = "Set an editor command in the settings, for example: code --goto %f:%l"
    if not command.strip():
        raise StoreError("No editor is set: neither in the settings nor in $VISUAL or $EDITOR.", advice=advice)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise StoreError(f"The editor command “{command}” cannot be read: {error}.", advice=advice) from error
    if shutil.which(words[0]) is None:
        raise StoreError(f"The editor “{words[0]}” is not installed.", advice=advice)
    name = Path(words[0]).name
    if not any("%f" in word for word in words):
        words += _PLACE.get(name, _PLUS_LINE)
    terminal = name in _IN_TERMINAL or (name.startswith("emacs") and {"-nw", "-t", "--tty"} & set(words))
    return EditorCommand(tuple(_fill(word, str(file), line) for word in words), bool(terminal))


def _fill(word: str, file: str, line: int) -> str:
    """%f, %l and %% in one pass, so that a file called "%l" stays what it is."""
    parts = word.split("%%")
    return "%".join(file.join(piece.replace("%l", str(max(line, 1))) for piece in part.split("%f")) for part in parts)
