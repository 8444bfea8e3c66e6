"""A profile of a range of time: the same tables, with the samples of that range alone."""

from __future__ import annotations

from dataclasses import replace

from tailflame.model.stacks import StackProfile


def has_times(profile: StackProfile) -> bool:
    """Whether its samples tell when they were taken."""
    return bool(profile.samples.time_ns.max(initial=-1) >= 0)


def between(profile: StackProfile, start_s: float, end_s: float) -> StackProfile:
    """The samples from `start_s` on and before `end_s`, in seconds of the profile's clock. A sample without a time is
    in no range.
    """
    samples = profile.samples
    inside = (samples.time_ns >= max(round(start_s * 1e9), 0)) & (samples.time_ns < round(end_s * 1e9))
    return replace(profile, samples=samples.at(inside))
