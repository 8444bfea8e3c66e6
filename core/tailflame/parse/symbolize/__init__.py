"""Names, source lines and inlined functions of recorded addresses.

A Symbolizer reads symbol tables with numpy, chooses among aliases as perf does, and looks inlined functions up in an
index of the debug information that is kept on disk by build id. Nothing is spawned per address.
"""

from tailflame.parse.symbolize.answers import Inlined, Module, Named
from tailflame.parse.symbolize.elf_file import NOWHERE
from tailflame.parse.symbolize.kernel import RecordedKernel, names_here
from tailflame.parse.symbolize.state import KernelNames, State
from tailflame.parse.symbolize.symbolizer import Symbolizer

__all__ = [
    "NOWHERE",
    "Inlined",
    "KernelNames",
    "Module",
    "Named",
    "RecordedKernel",
    "State",
    "Symbolizer",
    "names_here",
]
