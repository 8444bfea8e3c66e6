"""What the tools page shows, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame_gui.record_model import ToolChoice
from tailflame_gui.rows import SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReference:
    """What there is to know of one tool before it is used."""

    tool: ToolChoice
    command_line: str = ""
    """What it would run on the program at hand now; its files go to the folder SESSION, which does not exist yet."""
    to_copy: str = ""
    """The same for a terminal: the files go to the terminal's own folder."""
    problem: str = ""
    """Why there is no command."""
    last: SessionRow | None = None
    """Its newest result."""

    @property
    def words(self) -> str:
        """What a filter looks in."""
        tool = self.tool
        return f"{tool.title} {tool.name} {tool.family} {tool.answers} {tool.cost}".casefold()


@dataclass(frozen=True, slots=True)
class Reference:
    """Everything on the page. `target` names the program that the commands are for, "" where none is chosen."""

    tools: tuple[ToolReference, ...] = ()
    formats: tuple[str, ...] = ()
    """The files that can be opened, by the titles of their formats."""
    target: str = ""
