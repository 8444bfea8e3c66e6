"""What the first line of massif.out tells: by which options it was made, and by them, what other files belong to it.

desc: --stacks=yes --massif-out-file=/tmp/massif.out.%p
"""

from __future__ import annotations

import re
from pathlib import Path

from tailflame.model import Caution
from tailflame.model.heap import Counted
from tailflame.units import count

_OUT_FILE = "--massif-out-file="
_HEAD = 4096
_MOST_LOOKED_AT = 1000
_MOST_NAMED = 8
_LONG = 60
"""Characters of a command line that are shown."""


def is_set(desc: str, option: str, *, default: bool) -> bool:
    """Whether an option is yes; of several the last one holds."""
    told = [word.partition("=")[2] for word in desc.split() if word.partition("=")[0] == option]
    return told[-1] == "yes" if told else default


def counted(desc: str) -> Counted:
    """What the run's memory is."""
    if is_set(desc, "--pages-as-heap", default=False):
        return Counted.PAGES
    return Counted.BLOCKS if is_set(desc, "--heap", default=True) else Counted.STACKS


def beside(path: Path, desc: str) -> tuple[Caution, ...]:
    """The files that the same options have left of other processes: with %p in the name each has its own."""
    file = desc.partition(_OUT_FILE)[2]
    pattern = Path(re.split(r" --[a-z]", file)[0].strip()).name  # the name may hold blanks
    if "%p" not in pattern:
        return ()
    named = re.compile(r"\d+".join(re.escape(part.replace("%%", "%")) for part in pattern.split("%p")))
    if named.fullmatch(path.name) is None:
        return ()
    try:
        files = sorted(other for other in path.parent.iterdir() if named.fullmatch(other.name))[:_MOST_LOOKED_AT]
    except OSError:
        return ()
    found = [(other.name, command) for other in files if other.name != path.name
             and (command := _command(other, desc)) is not None]  # fmt: skip
    if not found:
        return ()
    left = len(found) - _MOST_NAMED
    names = ", ".join(f"{name} ({command})" for name, command in found[:_MOST_NAMED])
    names += f" and {count(left)} more" if left > 0 else ""
    what = "1 more file stands" if len(found) == 1 else f"{count(len(found))} more files stand"
    return (
        Caution(
            f"Each program of the run has a file of its own. {what} beside this one, by the same options: {names}.",
            "Open them for what those programs held.",
        ),
    )


def _command(path: Path, desc: str) -> str | None:
    """The command line that the file is of; None where it is not massif's, or by other options."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as raw:
            lines = raw.read(_HEAD).decode("utf-8", "backslashreplace").splitlines()
    except OSError:
        return None
    if len(lines) < 2 or lines[0] != f"desc: {desc}" or not lines[1].startswith("cmd: "):
        return None
    command = lines[1].removeprefix("cmd: ").strip()
    return command if len(command) <= _LONG else f"{command[: _LONG - 1]}…"
