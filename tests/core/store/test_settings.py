"""Settings are remembered, and a damaged file never stops anything."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.errors import StoreError
from tailflame.store.settings import (
    Settings,
    config_folder,
    editor_command,
    load_settings,
    profiles_folder,
    update_settings,
)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("TAILFLAME_CONFIG_DIR", str(folder))
    for name in ("TAILFLAME_PROFILES", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_what_is_changed_is_there_next_time(config: Path) -> None:
    assert load_settings().settings == Settings()
    update_settings(lambda s: s.remembering("/opt/book", {"frequency": 997, "events": ["cycles"]}))
    update_settings(lambda s: replace(s, theme="dark", editor="code --goto %f:%l", window={"width": 1280}))
    update_settings(lambda s: s.having_opened("/tmp/flame.svg"))
    update_settings(lambda s: replace(s, source_map=(("/build/b", "/home/b"), ("/build", "/home"))))
    settings = load_settings().settings
    assert settings.recent_binaries == ("/opt/book",)
    assert settings.recent_files == ("/tmp/flame.svg",)
    assert settings.source_map == (("/build/b", "/home/b"), ("/build", "/home"))
    assert settings.preset_of("/opt/book") == {"frequency": 997, "events": ["cycles"]}
    assert settings.preset_of("/opt/other") == {}
    assert (settings.theme, settings.editor, settings.window) == ("dark", "code --goto %f:%l", {"width": 1280})
    assert json.loads((config / "settings.json").read_text())["version"] == 1


def test_recent_binaries_are_newest_first_once_each_and_few() -> None:
    settings = Settings()
    for n in range(30):
        settings = settings.remembering(f"/bin/{n}")
    settings = settings.remembering("/bin/./25")
    assert settings.recent_binaries[:3] == ("/bin/25", "/bin/29", "/bin/28")
    assert len(settings.recent_binaries) == len(set(settings.recent_binaries)) == 20


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "", '{"version": "x"}', '{"version": 1, "recent_files": 5}', '{"version": 1, "presets": {"a": 1}}'],
)
def test_a_damaged_file_is_set_aside_with_a_notice(config: Path, content: str) -> None:
    config.mkdir()
    (config / "settings.json").write_text(content)
    loaded = load_settings()
    assert loaded.settings == Settings()
    assert "damaged" in loaded.notice
    (aside,) = config.glob("settings.damaged-*.json")
    assert aside.read_text() == content
    assert str(aside) in loaded.notice
    assert load_settings().notice == ""


def test_a_newer_file_is_neither_read_nor_written_over(config: Path) -> None:
    config.mkdir()
    (config / "settings.json").write_text('{"version": 9, "theme": "neon"}')
    assert "newer Tailflame" in load_settings().notice
    assert update_settings(lambda s: replace(s, theme="dark")).theme == "dark"
    assert (config / "settings.json").read_text() == '{"version": 9, "theme": "neon"}'


def test_a_file_of_another_user_is_left_alone_with_a_notice(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update_settings(lambda settings: replace(settings, theme="dark"))

    def closed(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as root_may_read_all:
        root_may_read_all.setattr(Path, "open", closed)
        loaded = load_settings()
    assert (loaded.settings, loaded.writable) == (Settings(), False)
    assert "settings.json cannot be read: Permission denied." in loaded.notice
    assert load_settings().settings.theme == "dark", "it was not taken for a damaged one"


def test_an_unknown_theme_is_the_systems(config: Path) -> None:
    config.mkdir()
    (config / "settings.json").write_text('{"version": 1, "theme": "neon"}')
    assert load_settings().settings.theme == "system"


def test_a_settings_folder_that_cannot_be_made_is_a_sentence(config: Path) -> None:
    config.write_text("a file")
    with pytest.raises(StoreError, match="cannot be made"):
        update_settings(lambda s: s)


def test_where_things_lie(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_folder() == config
    monkeypatch.delenv("TAILFLAME_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert config_folder() == tmp_path / "xdg" / "tailflame"
    assert profiles_folder(Settings()) == tmp_path / "data" / "tailflame" / "profiles"
    assert profiles_folder(Settings(profiles="/srv/profiles")) == Path("/srv/profiles")
    monkeypatch.setenv("TAILFLAME_PROFILES", "here")
    assert profiles_folder(Settings(profiles="/srv/profiles")) == Path.cwd() / "here"


@pytest.mark.parametrize(
    ("command", "argv", "terminal"),
    [
        ("code --goto %f:%l", ("code", "--goto", "/s/a b.rs:7"), False),
        ("code", ("code", "--goto", "/s/a b.rs:7"), False),
        ("vim", ("vim", "+7", "/s/a b.rs"), True),
        ("emacs -nw", ("emacs", "-nw", "+7", "/s/a b.rs"), True),
        ("emacsclient -n", ("emacsclient", "-n", "+7", "/s/a b.rs"), False),
        ("kate", ("kate", "--line", "7", "/s/a b.rs"), False),
        ("hx", ("hx", "/s/a b.rs:7"), True),
        ("'my editor' --at=%l --100%% %f", ("my editor", "--at=7", "--100%", "/s/a b.rs"), False),
    ],
)
def test_the_editor_is_told_the_place_in_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, argv: tuple[str, ...], terminal: bool
) -> None:
    for name in ("code", "vim", "emacs", "emacsclient", "kate", "hx", "my editor"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = editor_command(Settings(editor=command), "/s/a b.rs", 7)
    assert (asked.argv, asked.needs_terminal) == (argv, terminal)


def test_the_setting_goes_before_visual_and_that_before_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "false %f")
    assert editor_command(Settings(), "x").argv == ("false", "x")
    monkeypatch.setenv("VISUAL", "true %l %f")
    assert editor_command(Settings(), "x", -1).argv == ("true", "1", "x")
    assert editor_command(Settings(editor="echo %f"), "%l %f").argv == ("echo", "%l %f")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("", "No editor is set"), ("'unbalanced", "cannot be read"), ("no-such-editor-here", "is not installed")],
)
def test_without_an_editor_there_is_advice(command: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence) as caught:
        editor_command(Settings(editor=command), "x.rs")
    assert "%f" in caught.value.advice


def test_the_settings_file_is_private_to_nobody_but_follows_the_umask(config: Path) -> None:
    before = os.umask(0o077)
    try:
        update_settings(lambda s: replace(s, theme="light"))
    finally:
        os.umask(before)
    assert (config / "settings.json").stat().st_mode & 0o777 == 0o600
