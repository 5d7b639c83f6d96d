"""The bodies of portable models as text of C99: constant arrays, and a function that tells.

Rules
- The function is `double body(const double *x)`, or `body(x, double *std)` where there is a spread;
  `COLUMNS` is how many numbers `x` has.
- Numbers are written so that they read back to the last bit.
"""

import textwrap
from collections.abc import Iterable
from typing import Final

import numpy as np

from cellwarden.health.portable import Line, Net, Nets, Pair, Process, Spread, Trees
from cellwarden.registry.tree_layout import LEAF, Layout

__all__ = ["LN10", "array_text", "body_text", "trees_text"]

LN10: Final = float(np.log(10.0))
_WIDTH: Final = 96


def array_text(name: str, values: np.ndarray, kind: str = "double") -> str:
    """A constant array of one dimension or two. [text]"""
    shape = "".join(f"[{count}]" for count in values.shape)
    if values.ndim == 1:
        inner = _listed(values.tolist())
    else:
        inner = ",\n".join(f"    {{\n{_listed(row.tolist())}\n    }}" for row in values)
    return f"static const {kind} {name}{shape} = {{\n{inner}\n}};"


def body_text(body: object) -> str:
    """The body of a model other than of trees, on prepared numbers. [text]"""
    match body:
        case Line():
            return _line(body, "body")
        case Process():
            return _process(body, "body")
        case Pair():
            return _pair(body)
        case Nets():
            return _nets(body)
    raise AssertionError(body)  # trees have their own way, on raw numbers


def trees_text(layout: Layout, trees: Trees) -> str:
    """The body of trees, on raw numbers: a loop over small arrays. [text]

    With a branch in it, which a processor guesses: a choice of two values would wait for both.
    """
    kind = "float" if trees.single_sum else "double"
    cast = "(float)" if trees.single_sum else ""
    width = {
        "roots": _bits(layout.roots),
        "right": _bits(layout.right),
        "feature": _bits(layout.feature),
    }
    leaf = 2 ** width["feature"] - 1
    feature = np.where(layout.feature == LEAF, leaf, layout.feature)
    return f"""\
/* The left child of a node is the next one. The number of a leaf is its value, that of any other
 * node its threshold: a row goes left where its feature is at most that. */
#define TREES {len(layout.roots)}
#define LEAF {leaf}

{array_text("roots", layout.roots, f"uint{width['roots']}_t")}
{array_text("feature", feature, f"uint{width['feature']}_t")}
{array_text("right", layout.right, f"uint{width['right']}_t")}
{array_text("number", layout.number)}

static double body(const double *x)
{{
    {kind} sum = {cast}{trees.offset!r};
    int i;

    for (i = 0; i < TREES; i++) {{
        uint32_t at = roots[i];

        while (feature[at] != LEAF) {{
            if (x[feature[at]] <= number[at]) {{
                at++;
            }} else {{
                at = right[at];
            }}
        }}
        sum += {cast}number[at];
    }}
    return sum / {trees.divisor!r};
}}"""


def _line(line: Line, name: str) -> str:
    return f"""\
{array_text("weights", line.weights)}

static double {name}(const double *x)
{{
    double sum = {line.intercept!r};
    int i;

    for (i = 0; i < COLUMNS; i++) {{
        sum += x[i] * weights[i];
    }}
    return sum;
}}"""


def _process(process: Process, name: str) -> str:
    whole = f"{process.centre!r} + {process.scale!r} * unit"
    if process.spread is None:
        told = f"""\
static double {name}(const double *x)
{{
    const double unit = curve(x);

    return {whole};
}}"""
        return f"{_curve(process)}\n\n{told}"
    told = f"""\
static double {name}(const double *x, double *std)
{{
    const double unit = curve(x);

    *std = {process.scale!r} * sqrt(variance(x, unit));
    return {whole};
}}"""
    return f"{_curve(process)}\n\n{_variance(process.spread, process.scale)}\n\n{told}"


def _curve(process: Process) -> str:
    """A line and bumps, before centre and scale."""
    return f"""\
#define ROWS {len(process.inputs)}
#define LENGTHS {len(process.lengths)}

{array_text("stretch", process.stretch)}
{array_text("slope", process.slope)}
{array_text("rate", 1 / (2 * process.lengths**2))}
{array_text("inputs", process.inputs)}
{array_text("duals", process.duals.T)}

static double curve(const double *x)
{{
    double sum = 0.0;
    int i, k, r;

    for (i = 0; i < COLUMNS; i++) {{
        sum += x[i] * stretch[i] * slope[i];
    }}
    for (r = 0; r < ROWS; r++) {{
        double square = 0.0;

        for (i = 0; i < COLUMNS; i++) {{
            const double away = x[i] * stretch[i] - inputs[r][i];
            square += away * away;
        }}
        for (k = 0; k < LENGTHS; k++) {{
            sum += duals[r][k] * exp(-square * rate[k]);
        }}
    }}
    return sum;
}}"""


def _variance(spread: Spread, scale: float) -> str:
    """What the members know and how they differ, and the noise."""
    below = np.tril_indices(spread.duals.shape[1])
    noise = float(spread.weights @ spread.settings[:, 3]) * spread.noise_level
    return f"""\
#define MEMBERS {len(spread.weights)}

{array_text("line_size", spread.settings[:, 0])}
{array_text("bump_size", spread.settings[:, 1])}
{array_text("bump_rate", 1 / (2 * spread.settings[:, 2] ** 2))}
{array_text("chance", spread.weights)}
{array_text("member_duals", spread.duals)}
{array_text("roots", np.stack([root[below] for root in spread.roots]))}

static double variance(const double *x, double unit)
{{
    double line[ROWS], square[ROWS], cross[ROWS], own = 0.0;
    double sum = {noise!r} * exp({-spread.emphasis * scale * LN10!r} * unit);
    int i, m, r, s;

    for (i = 0; i < COLUMNS; i++) {{
        own += x[i] * stretch[i] * x[i] * stretch[i];
    }}
    for (r = 0; r < ROWS; r++) {{
        line[r] = square[r] = 0.0;
        for (i = 0; i < COLUMNS; i++) {{
            const double at = x[i] * stretch[i], away = at - inputs[r][i];
            line[r] += at * inputs[r][i];
            square[r] += away * away;
        }}
    }}
    for (m = 0; m < MEMBERS; m++) {{
        const double *root = roots[m];
        double sure = line_size[m] * own + bump_size[m], away = -unit;

        for (r = 0; r < ROWS; r++) {{
            cross[r] = line_size[m] * line[r] + bump_size[m] * exp(-square[r] * bump_rate[m]);
            away += cross[r] * member_duals[m][r];
        }}
        for (r = 0; r < ROWS; r++) {{
            double known = 0.0;

            for (s = 0; s <= r; s++) {{
                known += *root++ * cross[s];
            }}
            sure -= known * known;
        }}
        sum += chance[m] * ((sure > 0.0 ? sure : 0.0) + away * away);
    }}
    return sum;
}}"""


def _pair(pair: Pair) -> str:
    parts = f"{_line(pair.line, 'straight')}\n\n{_process(pair.process, 'bent')}"
    if pair.process.spread is None:
        return f"""{parts}

static double body(const double *x)
{{
    return (straight(x) + bent(x)) / 2.0;
}}"""
    return f"""{parts}

static double body(const double *x, double *std)
{{
    const double one = straight(x), other = bent(x, std), apart = (one - other) / 2.0;

    *std = sqrt(*std * *std + apart * apart);
    return (one + other) / 2.0;
}}"""


def _nets(nets: Nets) -> str:
    widest = max(len(layer.bias) for one in nets.members for layer in one.layers)
    return f"""\
#define WIDEST {widest}
#define MEMBERS {len(nets.members)}

static void layer(const double *from, int count, const double *weight, const double *bias,
                  int width, double *to)
{{
    int i, k;

    for (k = 0; k < width; k++) {{
        to[k] = bias[k];
    }}
    for (i = 0; i < count; i++) {{
        for (k = 0; k < width; k++) {{
            to[k] += from[i] * weight[i * width + k];
        }}
    }}
}}

{chr(10).join(_net(one, f"{member}") + chr(10) for member, one in enumerate(nets.members))}
{_mean(nets)}"""


def _net(net: Net, suffix: str) -> str:
    arrays, steps, before = [], [], "x"
    for place, one in enumerate(net.layers):
        after = ("odd", "even")[place % 2]
        weight, bias = f"weight_{suffix}_{place}", f"bias_{suffix}_{place}"
        arrays += [array_text(weight, one.weight.ravel()), array_text(bias, one.bias)]
        count, width = one.weight.shape
        steps.append(f"    layer({before}, {count}, {weight}, {bias}, {width}, {after});")
        if place + 1 < len(net.layers):
            bent = "tanh({0})" if net.activation == "tanh" else "{0} > 0.0 ? {0} : 0.0"
            steps.append(f"    for (i = 0; i < {width}; i++) {{")
            steps.append(f"        {after}[i] = {bent.format(f'{after}[i]')};\n    }}")
        before = after
    kept = "odd[WIDEST]" if len(net.layers) == 1 else "odd[WIDEST], even[WIDEST]"
    count_text = "" if len(net.layers) == 1 else "    int i;\n"
    return f"""\
{chr(10).join(arrays)}

static double net_{suffix}(const double *x)
{{
    double {kept};
{count_text}
{chr(10).join(steps)}
    return {before}[0];
}}
"""


def _mean(nets: Nets) -> str:
    calls = "\n".join(f"    each[{k}] = net_{k}(x);" for k in range(len(nets.members)))
    start = f"""\
    double each[MEMBERS], mean = 0.0;
    int i;

{calls}
    for (i = 0; i < MEMBERS; i++) {{
        mean += each[i] / MEMBERS;
    }}"""
    told = f"    return {nets.centre!r} + {nets.scale!r} * mean;"
    if nets.error is None:
        return f"static double body(const double *x)\n{{\n{start}\n{told}\n}}"
    return f"""\
static double body(const double *x, double *std)
{{
{start}
    *std = {nets.error**2!r};
    for (i = 0; i < MEMBERS; i++) {{
        *std += (each[i] - mean) * (each[i] - mean) / MEMBERS;
    }}
    *std = {nets.scale!r} * sqrt(*std);
{told}
}}"""


def _bits(values: np.ndarray) -> int:
    """Bits of the smallest kind of whole number that holds these and one more. [1]"""
    largest = int(values.max())
    return 8 if largest < 2**8 - 1 else 16 if largest < 2**16 - 1 else 32


def _listed(values: Iterable[float]) -> str:
    return textwrap.fill(
        ", ".join(repr(value) for value in values),
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
