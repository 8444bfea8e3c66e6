"""`--set NAME=VALUE`: from words to the options of a tool, and what is said of wrong ones."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

from tailflame.cli.exit_codes import UsageError
from tailflame.host.system import Host
from tailflame.tools import FieldTool, OptionField, OptionKind
from tailflame.tools.base import OptionValue

_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})


def values_for(tools: Sequence[FieldTool], items: Iterable[str], host: Host) -> list[dict[str, OptionValue]]:
    """The values of each tool. An item is NAME=VALUE, or NAME for a flag; TOOL.NAME where it is for one of them alone.

    UsageError for a name that none of them has, a value that it cannot have, and what cannot work here.
    """
    fields = [{field.name: field for field in tool.fields(host)} for tool in tools]
    values: list[dict[str, OptionValue]] = [{} for _ in tools]
    for item in items:
        word, equals, text = item.partition("=")
        owner, dot, name = word.rpartition(".")
        of = [at for at, tool in enumerate(tools) if not dot or tool.name == owner]
        if not of:
            raise UsageError(f"{owner} is not among the tools.", advice=f"They are {_listed(t.name for t in tools)}.")
        having = [at for at in of if name in fields[at]]
        if not having:
            raise _unknown(name, [tools[at] for at in of], [fields[at] for at in of])
        for at in having:
            values[at][name] = value_of(fields[at][name], text if equals else None)
    for tool, known, chosen in zip(tools, fields, values, strict=True):
        _check_together(tool, known, chosen)
    return values


def value_of(field: OptionField, text: str | None) -> OptionValue:
    """What `text` says; None where nothing was said, which means yes for a flag. UsageError where it says nothing."""
    if field.kind is OptionKind.FLAG:
        word = "yes" if text is None else text.casefold()
        if word in _YES or word in _NO:
            return word in _YES
        raise UsageError(f"{field.name} is yes or no, not “{text}”.", advice=f"Write --set {field.name}=yes.")
    if text is None:
        raise UsageError(f"{field.name} takes a value.", advice=f"Write --set {field.name}={_example(field)}.")
    match field.kind:
        case OptionKind.CHOICE:
            if text not in {value for value, _ in field.choices}:
                raise UsageError(f"{field.name} cannot be “{text}”.", advice=f"It can be {_choices(field)}.")
            return text
        case OptionKind.WHOLE:
            return int(_number(field, text, whole=True))
        case OptionKind.NUMBER:
            return _number(field, text, whole=False)
        case _:
            return text


def _number(field: OptionField, text: str, *, whole: bool) -> float:
    unit = f" {field.unit}" if field.unit else ""
    kind = "a whole number" if whole else "a number"
    limits = f"{field.low:g} to {field.high:,.0f}{unit}" if field.high < 1e9 else f"{field.low:g}{unit} or more"
    try:
        value = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{field.name} is {kind}, not “{text}”.", advice=f"It can be {limits}.") from None
    if not math.isfinite(value) or not field.low <= value <= field.high:
        raise UsageError(f"{field.name} cannot be {text}.", advice=f"It can be {limits}.")
    return value


def _check_together(tool: FieldTool, fields: dict[str, OptionField], values: dict[str, OptionValue]) -> None:
    """What was chosen must be able to work here, and to mean something beside the rest."""
    for name, value in values.items():
        field = fields[name]
        if field.reason and value != field.default:
            raise UsageError(f"{name} of {tool.title} cannot be used here: {field.reason.rstrip('.')}.")
        if value == field.default:
            continue
        while field.only_with is not None:
            other, needed = field.only_with
            if values.get(other, fields[other].default) != needed:
                raise UsageError(
                    f"{name} of {tool.title} has no meaning without {other}={said(needed)}.",
                    advice=f"Add --set {other}={said(needed)}, or leave it out.",
                )
            field = fields[other]  # which may have no meaning itself


def said(value: OptionValue) -> str:
    """A value as it is written after the equals sign."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def possible(field: OptionField) -> str:
    """What an option takes, in a few words: "i, ms or B", "1 to 200 frames"."""
    match field.kind:
        case OptionKind.CHOICE:
            return _listed((value for value, _ in field.choices), last="or")
        case OptionKind.FLAG:
            return "yes or no"
        case OptionKind.TEXT:
            return "text"
        case _:
            unit = f" {field.unit}" if field.unit else ""
            most = f" to {field.high:,.0f}" if field.high < 1e9 else " or more"
            return f"{field.low:g}{most}{unit}"


def _unknown(name: str, tools: Sequence[FieldTool], fields: Sequence[dict[str, OptionField]]) -> UsageError:
    names = sorted({name for known in fields for name in known})
    one = len(tools) == 1
    sentence = f"{tools[0].title} has no option “{name}”." if one else f"None of these tools has an option “{name}”."
    if not names:
        return UsageError(sentence, advice="It takes none.")
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return UsageError(sentence, advice=f"{meant}The options are {_listed(names)}.")


def _choices(field: OptionField) -> str:
    return "; ".join(f"{value} ({meaning})" if meaning else value for value, meaning in field.choices)


def _example(field: OptionField) -> str:
    return said(field.default) or "VALUE"


def _listed(words: Iterable[str], *, last: str = "and") -> str:
    *first, final = words
    return f"{', '.join(first)} {last} {final}" if first else final
