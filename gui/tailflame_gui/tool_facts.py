"""The tools as they can be chosen on this machine: what each answers and costs, and which of its options work here.

Nothing here is a widget; what asks perf says so and is called in a thread.
"""

from __future__ import annotations

from tailflame import tools
from tailflame.host.binary import BinaryFacts
from tailflame.host.install import install_command
from tailflame.host.system import HARDWARE_EVENTS, SOFTWARE_EVENTS, Host
from tailflame.tools import CARGO_FLAMEGRAPH, PERF_RECORD, Capabilities, Family, FieldTool, OptionField
from tailflame.tools.perf_record import DWARF_STACKS, OFF_CPU_COST
from tailflame_gui.record_model import Choice, FieldKind, FormField, OptionsDraft, ToolChoice

_PROCESSOR, _KERNEL = "Processor", "Kernel"
_CALL_GRAPHS = (
    ("fp", "Cheap and deep, where frame pointers are kept."),
    ("dwarf", "Copies the stack with each sample."),
    ("lbr", "The processor’s branch records: cheap, 16 to 32 calls deep."),
    ("none", "Which functions, but not who calls them."),
)
_EVENT_TIPS = {
    "cycles": "Where the processor spends its cycles.",
    "instructions": "Where instructions are retired; with cycles it gives the instructions per cycle.",
    "branches": "Branch instructions.",
    "branch-misses": "Where branches are predicted wrongly.",
    "cache-references": "Accesses that reach the last-level cache.",
    "cache-misses": "Where the last-level cache misses.",
    "L1-dcache-load-misses": "Loads that miss the first-level data cache.",
    "LLC-load-misses": "Loads that miss the last-level cache.",
    "dTLB-load-misses": "Loads whose page translation is not cached.",
    "cpu-clock": "The kernel’s clock: where CPU time goes, on any machine.",
    "task-clock": "The time the tasks run.",
    "page-faults": "Where pages are touched that are not mapped yet.",
    "minor-faults": "Page faults served from memory.",
    "major-faults": "Page faults that wait for a disk.",
    "context-switches": "Where threads give up the CPU or lose it.",
    "cpu-migrations": "Where threads move to another CPU.",
}


def tool_choices(host: Host) -> tuple[ToolChoice, ...]:
    """The tools with what works on this machine, those of a family together; may ask perf, so in a thread."""
    made = (*_samplers(host), *(_field_choice(tool, host) for tool in tools.FIELD_TOOLS))
    order = [family.value for family in Family]
    return tuple(sorted(made, key=lambda tool: order.index(tool.family)))


def _samplers(host: Host) -> tuple[ToolChoice, ...]:
    perf = PERF_RECORD.probe(host)
    flamegraph = CARGO_FLAMEGRAPH.probe(host)
    return (
        ToolChoice(
            name=PERF_RECORD.name,
            title=PERF_RECORD.title,
            answers=PERF_RECORD.answers,
            cost=PERF_RECORD.cost,
            available=perf.available,
            reason=perf.reason,
            fix=perf.fix or ("" if host.perf else install_command("perf")),
            version=perf.version,
            call_graphs=_call_graphs(perf),
            events=_events(perf),
            off_cpu=_off_cpu(perf),
            dwarf_stacks=DWARF_STACKS,
            max_frequency=host.max_sample_rate,
            family=Family.CPU.value,
        ),
        ToolChoice(
            name=CARGO_FLAMEGRAPH.name,
            title=CARGO_FLAMEGRAPH.title,
            answers=CARGO_FLAMEGRAPH.answers,
            cost=CARGO_FLAMEGRAPH.cost,
            available=flamegraph.available,
            reason=flamegraph.reason,
            fix=flamegraph.fix,
            call_graphs=tuple(choice for choice in _call_graphs(perf) if choice.value != "none"),
            events=_events(perf),
            many_events=False,
            dwarf_stacks=DWARF_STACKS,
            max_frequency=host.max_sample_rate,
            family=Family.CPU.value,
            needs_project=True,
        ),
    )


def _field_choice(tool: FieldTool, host: Host) -> ToolChoice:
    can = tool.probe(host)
    return ToolChoice(
        name=tool.name,
        title=tool.title,
        answers=tool.answers,
        cost=tool.cost,
        available=can.available,
        reason=can.reason,
        fix=can.fix or ("" if can.available else install_command(tool.program)),
        version=can.version,
        family=tool.family.value,
        slow_down=tool.slow_down.sentence,
        times=tool.slow_down.typical,
        launches=tool.launches,
        attaches=tool.attaches,
        fields=form_fields(tool, host),
    )


def form_fields(tool: FieldTool, host: Host) -> tuple[FormField, ...]:
    """The options of a tool as the lines of a form."""
    return tuple(_form_field(one) for one in tool.fields(host))


def _form_field(option: OptionField) -> FormField:
    return FormField(
        name=option.name,
        title=option.title,
        tip=option.tip,
        kind=FieldKind(option.kind.value),
        default=option.default,
        choices=option.choices,
        low=option.low,
        high=option.high,
        unit=option.unit,
        only_with=option.only_with,
        rare=option.rare,
        reason=option.reason,
    )


def _off_cpu(can: Capabilities) -> Choice:
    capability = can.option("off-CPU")
    tip = f"How long threads wait, and in which stacks: shown beside CPU time, never added to it. {OFF_CPU_COST}"
    return Choice("off-CPU", "Time off the CPU", tip, capability.available, capability.reason)


def _call_graphs(can: Capabilities) -> tuple[Choice, ...]:
    made = []
    for value, tip in _CALL_GRAPHS:
        capability = can.option(f"call graph={value}")
        made.append(Choice(value, value, tip, capability.available, capability.reason))
    return tuple(made)


def _events(can: Capabilities) -> tuple[Choice, ...]:
    made = []
    for group, names in ((_PROCESSOR, HARDWARE_EVENTS), (_KERNEL, SOFTWARE_EVENTS)):
        for name in names:
            capability = can.option(f"event={name}")
            made.append(
                Choice(name, name, _EVENT_TIPS.get(name, ""), capability.available, capability.reason, group=group)
            )
    return tuple(made)


def default_options(host: Host, facts: BinaryFacts | None) -> OptionsDraft:
    """What fits this machine and this binary best."""
    best = PERF_RECORD.defaults(host, frame_pointers=facts.frame_pointers if facts else None)
    return OptionsDraft(
        call_graph=best.call_graph.value,
        frequency=best.frequency,
        events=tuple(name.partition(":")[0] for name in best.events),
        dwarf_stack=best.dwarf_stack,
    )


def names() -> tuple[str, ...]:
    """Every tool's name."""
    return tuple(tool.name for tool in tools.TOOLS)
