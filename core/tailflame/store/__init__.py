"""Sessions, baselines and settings on disk."""

from tailflame.store.library import INTERRUPTED, Library, SessionInfo, program_of, recover, session_at
from tailflame.store.manifest import Manifest, SessionState
from tailflame.store.provenance import Commit, binary_key, cargo_profile
from tailflame.store.resolve import Opened, find_session, open_result, open_session
from tailflame.store.session import SessionFolder, load_recording, save_recording
from tailflame.store.settings import (
    Loaded,
    Settings,
    config_folder,
    editor_command,
    load_settings,
    profiles_folder,
    update_settings,
)
from tailflame.store.sources import SourceExcerpts

__all__ = [
    "INTERRUPTED",
    "Commit",
    "Library",
    "Loaded",
    "Manifest",
    "Opened",
    "SessionFolder",
    "SessionInfo",
    "SessionState",
    "Settings",
    "SourceExcerpts",
    "binary_key",
    "cargo_profile",
    "config_folder",
    "editor_command",
    "find_session",
    "load_recording",
    "load_settings",
    "open_result",
    "open_session",
    "profiles_folder",
    "program_of",
    "recover",
    "save_recording",
    "session_at",
    "update_settings",
]
