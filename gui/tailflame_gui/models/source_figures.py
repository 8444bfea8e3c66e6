"""What the source view shows of a function, computed in one go, and what it asks others for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tailflame.analyse.annotate import (
    CodePlace,
    LineCosts,
    code_places,
    files_of,
    line_costs,
    lines_of,
    occurs,
    place_options,
)
from tailflame.analyse.tree import CallTree
from tailflame.host.disassembly import CodeRange
from tailflame.model.stacks import NONE
from tailflame_gui.models.scope import Scope
from tailflame_gui.models.trees import ProfileTrees


class Of(StrEnum):
    """What 100 % is."""

    FUNCTION = "function"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True, eq=False)
class SourceQuestion:
    """A source file that is wanted: `name` as debug information has it, `module` the binary that was compiled from it,
    `other`: only lines that are inlined from it are shown."""

    name: str
    module: str
    other: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CodeQuestion:
    """Machine code that is wanted: of `place`, and there of `symbol` where one is chosen."""

    place: CodePlace
    symbol: CodeRange | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SourceFigures:
    """What is computed of a function: its lines, and where its code is."""

    function: str
    occurs: bool
    files: tuple[str, ...]
    costs: LineCosts | None
    seen: tuple[int, int]
    places: tuple[CodePlace, ...]
    module: str
    tree: CallTree


def figures_of(trees: ProfileTrees, scope: Scope, function: str, of: Of) -> SourceFigures:
    """In a thread: the lines of `function` and the places of its code in the view that `scope` chooses."""
    tree = trees.build(place_options(scope.tree_options))
    files = files_of(tree, function)
    costs = line_costs(tree, files[0], function=function if of is Of.FUNCTION else None) if files else None
    names, modules = tree.functions.names, tree.functions.module
    module = next((m for name, m in zip(names, modules, strict=True) if name == function and m), "")
    return SourceFigures(
        function=function,
        occurs=occurs(tree, function),
        files=files,
        costs=costs,
        seen=lines_of(tree, function) if files else (NONE, NONE),
        places=code_places(trees.profile, tree, function),
        module=module,
        tree=tree,
    )
