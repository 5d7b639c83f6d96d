"""A portable model as C99 without heap, state or library: one source file and its header.

Rules
- Arrays are `static const`, so that they stay in flash; what a call needs is on its stack.
- Of a library, `exp`, `sqrt` and `tanh` of math.h are used, by what needs them; trees use none.
- Trees tell the very bits that Python tells; the others differ in rounding, because a sum is taken
  in another order.
- What is missing (NaN, or an infinite number) is filled as in Python. A null pointer is the one
  wrong use there is; it is answered by a code and nothing is written.
- Equal models give equal text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cellwarden.errors import UsageError
from cellwarden.health.portable import Nets, Pair, Portable, Process, Trees
from cellwarden.registry.artefact import digest
from cellwarden.registry.c_bodies import LN10, array_text, body_text, trees_text
from cellwarden.registry.portable_file import Label, encode_portable
from cellwarden.registry.tree_layout import lay_out

__all__ = ["LARGEST_NUMBER_COUNT", "CFiles", "write_c"]

LARGEST_NUMBER_COUNT: Final = 2**18  # 2 MiB of double precision
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_HELD: Final = """\
        double one = isfinite(features[i]) ? features[i] : fill[i];

        one = one < low[i] ? low[i] : one > high[i] ? high[i] : one;
        x[i] = (one - centre[i]) / spread[i];"""
_FILLED: Final = "        x[i] = isfinite(features[i]) ? features[i] : fill[i];"


@dataclass(frozen=True, slots=True)
class CFiles:
    """The text of NAME.h and NAME.c. [text]"""

    name: str
    header: str
    source: str


def write_c(model: Portable, label: Label, name: str) -> CFiles:
    """The C files of a portable model. [text]

    Raises:
        UsageError: the name is none for C, or the model holds more numbers than a small machine.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for C files", hint="Use small letters, digits and underscores."
        )
    if (count := _number_count(model)) > LARGEST_NUMBER_COUNT:
        raise UsageError(
            f"{count} numbers are too many for C",
            hint=f"At most {LARGEST_NUMBER_COUNT}: make it with flat=True, or learn less rows.",
        )
    found = digest(encode_portable(model, label))
    units = dict(zip(model.columns, label.column_units, strict=False))
    few = model.trimmed()
    return CFiles(
        name, _header(few, label, units, (name, found)), _source(few, label, (name, found))
    )


def _number_count(model: Portable) -> int:
    body = model.body.process if isinstance(model.body, Pair) else model.body
    if isinstance(body, Process):
        roots = 0 if body.spread is None else body.spread.roots.size // 2
        return body.inputs.size + body.duals.size + roots
    if isinstance(body, Nets):
        return sum(layer.weight.size for one in body.members for layer in one.layers)
    return len(body.feature) if isinstance(body, Trees) else 0


def _header(model: Portable, label: Label, units: Mapping[str, str], named: tuple[str, str]) -> str:
    name, found = named
    columns = "\n".join(
        f" *   [{place}] {_text(column)}{_unit(units.get(column, ''))}"
        for place, column in enumerate(model.columns)
    )
    told = f" *   [0] {_text(label.target)}{_unit(label.unit)}"
    if model.coverage is not None:
        told += f"\n *   [1], [2] low and high end of its {100 * model.coverage:g} % interval"
    licence = f"\n * Learnt from data under: {_text(label.licence)}" if label.licence else ""
    upper = name.upper()
    return f"""\
/* {_text(label.name)}: {_text(label.target)}.
 * Written by Cellwarden from the portable model with SHA-256
 * {found}.{licence}
 *
 * features, in this order; NaN or an infinite number says that one is missing:
{columns}
 * told:
{told}
 */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_FEATURE_COUNT {len(model.columns)}
#define {upper}_TOLD_COUNT {1 if model.coverage is None else 3}
#define {upper}_OK 0
#define {upper}_NULL_POINTER (-1)

/* Writes {upper}_TOLD_COUNT numbers to told and gives {upper}_OK; of a null pointer
 * {upper}_NULL_POINTER, and nothing is written. */
int {name}_predict(const double *features, double *told);

/* How many features are missing or beyond the training cells: above 0, take what is told as a
 * guess. Of a null pointer {upper}_NULL_POINTER. */
int {name}_outside(const double *features);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(model: Portable, label: Label, named: tuple[str, str]) -> str:
    (name, found), own = named, model.prepared
    scales = [array_text(one, getattr(own, one)) for one in ("fill", "low", "high")]
    if isinstance(own.fitted, Trees):
        body, held = trees_text(lay_out(own, own.fitted), own.fitted), _FILLED
    else:
        body, held = body_text(own.fitted), _HELD
        scales += [array_text(one, getattr(own, one)) for one in ("centre", "spread")]
    return f"""\
/* {_text(label.name)}; see {name}.h. Written from {found}. */
#include "{name}.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __FAST_MATH__
#error "-ffast-math loses NaN, which says that a number is missing"
#endif

#define COLUMNS {len(model.columns)}

{chr(10).join(scales)}

{body}

{_predict(model, name, held)}

int {name}_outside(const double *features)
{{
    int i, count = 0;

    if (features == NULL) {{
        return {name.upper()}_NULL_POINTER;
    }}
    for (i = 0; i < COLUMNS; i++) {{
        count += !isfinite(features[i]) || features[i] < low[i] || features[i] > high[i];
    }}
    return count;
}}
"""


def _predict(model: Portable, name: str, held: str) -> str:
    own, std = model.prepared, _states_spread(model)
    least, most = repr(own.least), repr(own.most)
    ends = ["mean"]
    if model.half_width is not None:
        away = f"{model.half_width!r} * std" if std else repr(model.half_width)
        ends += [f"mean - {away}", f"mean + {away}"]
    if model.logarithmic:
        ends = [f"exp({LN10!r} * ({end}))" for end in ends]
    told = "\n".join(f"    told[{place}] = {end};" for place, end in enumerate(ends))
    unused = "    (void)std;\n" if std and model.half_width is None else ""
    return f"""\
int {name}_predict(const double *features, double *told)
{{
    double x[COLUMNS], mean{", std" if std else ""};
    int i;

    if (features == NULL || told == NULL) {{
        return {name.upper()}_NULL_POINTER;
    }}
    for (i = 0; i < COLUMNS; i++) {{
{held}
    }}
    mean = body(x{", &std" if std else ""});
    mean = mean < {least} ? {least} : mean > {most} ? {most} : mean;
{told}
{unused}    return {name.upper()}_OK;
}}"""


def _states_spread(model: Portable) -> bool:
    match model.body:
        case Process(spread=told) | Pair(process=Process(spread=told)):
            return told is not None
        case Nets(error=error):
            return error is not None
    return False


def _unit(unit: str) -> str:
    return f" [{_text(unit)}]" if unit else ""


def _text(words: str) -> str:
    """Words that end no comment, begin none and stay on their line. [text]"""
    plain = "".join(one if one.isprintable() else " " for one in words).replace("\\", "|")
    return re.sub(r"[*/?]{2,}", lambda found: " ".join(found[0]), plain)
