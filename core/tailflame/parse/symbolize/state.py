"""What became of a module whose functions were looked up."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Of the debug information, where there is more to say than that names are missing."""

    READ = "read"
    NO_DEBUG_INFO = "has no debug information"
    MISSING = "is not there"
    CHANGED = "is another build than the recorded one"
    UNKNOWN = "was recorded without a build id"
    TOO_LARGE = "is too large"


class KernelNames(Enum):
    """Why functions of the kernel have no names."""

    UNTOLD = "perf was not let see them when it recorded"
    HIDDEN = "the kernel that was recorded runs here, and hides them from this user"
    UNIDENTIFIED = "the file does not tell which kernel was recorded"
    ELSEWHERE = "another kernel runs here than was recorded"
