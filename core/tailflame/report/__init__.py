"""Results for others: flame graphs as SVG, folded stacks, speedscope and Firefox Profiler JSON, pprof."""

from tailflame.report import firefox, folded, pprof, speedscope, svg

__all__ = ["firefox", "folded", "pprof", "speedscope", "svg"]
