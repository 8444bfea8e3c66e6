"""One file per format; `load` is the one way in."""

from tailflame.parse.formats import FORMATS, load
from tailflame.parse.registry import Format
from tailflame.parse.source import Progress, Source

__all__ = ["FORMATS", "Format", "Progress", "Source", "load"]
