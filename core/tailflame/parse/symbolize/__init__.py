"""Names, source lines and inlined functions of recorded addresses.

A Symbolizer reads symbol tables with numpy, chooses among aliases as perf does, and looks inlined functions up in an
index of the debug information that is kept on disk by build id. Nothing is spawned per address.
"""

from tailflame.parse.symbolize.answers import Inlined, Module, Named
from tailflame.parse.symbolize.elf_file import NOWHERE
from tailflame.parse.symbolize.kernel import RecordedKernel
from tailflame.parse.symbolize.state import State
from tailflame.parse.symbolize.symbolizer import Symbolizer

__all__ = ["NOWHERE", "Inlined", "Module", "Named", "RecordedKernel", "State", "Symbolizer"]
