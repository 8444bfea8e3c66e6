"""Results for others: flame graphs as SVG, folded stacks, speedscope JSON."""

from tailflame.report import folded, speedscope, svg

__all__ = ["folded", "speedscope", "svg"]
