"""On which inputs a unit is dead: by the signs of weights and biases alone, and on the box of the data.

Of every value it is followed whether it can be positive, and whether it can be negative, on a set of inputs: all of
them, the non-negative ones, or the data with what is known to be dead there. Signs involve no rounding. On the box
(every coordinate between its smallest and largest value) ends are carried outward in float64, and those of the first
layer are decided exactly where that leaves them open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from verify.scan.inputs import ScanInputs
from verify.scan.program import Affine, Input, Largest, Mean, Move, Node, Program, Relu, Scale, Sum, Windows

__all__ = ["SignAnalysis"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_UNIT = 2.0**-53
_TINY = 2.0**-1070
_SAFETY = 1.0 + 2.0**-20
_NUMBERS = 2_000_000  # of a weight matrix that are looked at together
_EXACT_TERMS = 2_000_000  # of the sums over boxes that are computed in fractions


@dataclass(frozen=True, eq=False)
class SignAnalysis:
    """For the units of one ReLU: proved dead on every input, on the non-negative ones, on the box, structurally."""

    everywhere: Bools
    nonnegative: Bools
    box: Bools
    structural: Bools

    @classmethod
    def of(cls, program: Program, inputs: ScanInputs, dead: Mapping[int, Bools]) -> dict[int, SignAnalysis]:
        """Flags for every ReLU, by its position in the program.

        Source:   math Lemma 3 for `structural`: `D_1` = dead on the data, `D_k` = bias `<= 0` and weights `<= 0` from
                  all that is not in `D_{k-1}`. dead: units known to be dead on the data; fewer are safe.
        Rigour:   a flag is a proof; no flag says nothing.
        """
        size = program.sizes[0]
        yes, no = np.ones(size, dtype=bool), np.zeros(size, dtype=bool)
        everywhere = _signs(program, yes, yes, {})
        nonnegative = _signs(program, yes, no, {})
        first = {i: dead[i] for i in program.relus if i in dead and _is_first(program, i)}
        structural = _signs(program, yes, yes, first)
        box = _on_box(program, inputs, dead)
        return {i: cls(everywhere[i], nonnegative[i], box[i], structural[i]) for i in program.relus}

    def includes_data(self, inputs: ScanInputs) -> Bools:
        """Units that are hereby proved to be dead on the data."""
        found = self.everywhere | self.box | self.structural
        return found | self.nonnegative if inputs.nonnegative else found


def _is_first(program: Program, relu: int) -> bool:
    """Whether no other ReLU comes before this one."""
    todo = list(program.nodes[relu].sources)
    while todo:
        node = program.nodes[todo.pop()]
        if isinstance(node, Relu):
            return False
        todo.extend(node.sources)
    return True


# --- signs -------------------------------------------------------------------------------------------------------

Signs = tuple[Bools, Bools]  # which entries can be positive, and which negative


def _signs(program: Program, positive: Bools, negative: Bools, dead: Mapping[int, Bools]) -> dict[int, Bools]:
    """Which units of each ReLU cannot be positive, for inputs of given signs and units known to be dead."""
    known: list[Signs] = []
    found: dict[int, Bools] = {}
    for i, node in enumerate(program.nodes):
        if isinstance(node, Input):
            known.append((positive, negative))
        elif isinstance(node, Relu):
            off = ~known[node.sources[0]][0]
            if i in dead:
                off = off | dead[i]
            found[i] = off
            known.append((~off, np.zeros_like(off)))
        else:
            known.append(_sign_step(node, [known[source] for source in node.sources]))
    return found


def _sign_step(node: Node, sources: list[Signs]) -> Signs:
    match node:
        case Affine():
            return _sign_product(node.weight, node.bias, *sources[0])
        case Windows():
            return _sign_windows(node, *sources[0])
        case Move():
            return _sign_taken(node, sources, 0), _sign_taken(node, sources, 1)
        case Sum():
            (p, n), (q, m) = sources
            return (p | q, n | m) if node.sign > 0 else (p | m, n | q)
        case Scale():
            return _sign_scaled(node, *sources[0])
        case Largest() | Mean():
            return _any(np.append(sources[0][0], False)[node.index]), _any(np.append(sources[0][1], False)[node.index])
    raise TypeError(f"{type(node).__name__} is no step")


def _any(flags: Bools) -> Bools:
    found: Bools = np.asarray(flags.any(axis=1))
    return found


def _sign_product(weight: Floats, bias: Floats | None, positive: Bools, negative: Bools) -> Signs:
    """A sum can be positive only if one of its terms can."""
    above, below = weight > 0, weight < 0
    up = _any(above & positive) | _any(below & negative)
    down = _any(below & positive) | _any(above & negative)
    return (up, down) if bias is None else (up | (bias > 0), down | (bias < 0))


def _sign_windows(node: Windows, positive: Bools, negative: Bools) -> Signs:
    p, n = (np.append(part, False)[node.index].astype(np.float32) for part in (positive, negative))  # (G, P, K)
    above, below = (part.astype(np.float32).transpose(0, 2, 1) for part in (node.weight > 0, node.weight < 0))
    up, down = p @ above + n @ below > 0, p @ below + n @ above > 0  # counts: exact, or positive in any case
    if node.bias is not None:
        bias = node.bias.reshape(len(up), 1, -1)
        up, down = up | (bias > 0), down | (bias < 0)
    order = (1, 0, 2) if node.channels_last else (0, 2, 1)
    return up.transpose(order).reshape(-1), down.transpose(order).reshape(-1)


def _sign_taken(node: Move, sources: list[Signs], which: int) -> Bools:
    joined = np.concatenate([each[which] for each in sources])
    found: Bools = np.append(joined, False)[node.index]
    return found


def _sign_scaled(node: Scale, positive: Bools, negative: Bools) -> Signs:
    rising, falling = node.factor > -node.factor_error, node.factor < node.factor_error
    above, below = node.shift > -node.shift_error, node.shift < node.shift_error
    up: Bools = (positive & rising) | (negative & falling) | above
    down: Bools = (positive & falling) | (negative & rising) | below
    return up, down


# --- the box of the data ---------------------------------------------------------------------------------------------

Ends = tuple[Floats, Floats]


def _on_box(program: Program, inputs: ScanInputs, dead: Mapping[int, Bools]) -> dict[int, Bools]:
    """Which units of each ReLU are dead on the box of the data."""
    known: list[Ends] = []
    found: dict[int, Bools] = {}
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for i, node in enumerate(program.nodes):
            sources = [known[source] for source in node.sources]
            if isinstance(node, Input):
                known.append(inputs.box)
            elif isinstance(node, Relu):
                low, high = sources[0]
                off = high <= 0
                affine = program.nodes[node.sources[0]]
                if isinstance(affine, Affine) and isinstance(program.nodes[affine.sources[0]], Input):
                    off |= _exactly_on_box(affine, inputs, ~off & dead.get(i, np.zeros_like(off)))
                found[i] = off
                known.append((np.where(off, 0.0, np.maximum(low, 0.0)), np.where(off, 0.0, np.maximum(high, 0.0))))
            else:
                low, high = _ends_step(node, sources)
                known.append((np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)))
    return found


def _exactly_on_box(node: Affine, inputs: ScanInputs, asked: Bools) -> Bools:
    """Which of the neurons of a first layer are dead on the box, in fractions, while there are not too many."""
    found = np.zeros(len(asked), dtype=bool)
    neurons = np.flatnonzero(asked)
    box = inputs.exact_box
    for neuron in neurons[: _EXACT_TERMS // max(len(box), 1)]:
        terms = (
            max(Fraction(w) * low, Fraction(w) * high)
            for w, (low, high) in zip(node.weight[neuron].tolist(), box, strict=True)
        )
        bias = Fraction(0) if node.bias is None else Fraction(float(node.bias[neuron]))
        found[neuron] = sum(terms, bias) <= 0
    return found


def _ends_step(node: Node, sources: list[Ends]) -> Ends:
    low, high = sources[0]
    match node:
        case Affine():
            return _outward(node.weight, node.bias, low[None], high[None])
        case Windows():
            parts = [np.append(end, 0.0)[node.index] for end in (low, high)]
            made = [_outward(w, None, a, b) for w, a, b in zip(node.weight, *parts, strict=True)]
            ends = [
                np.stack([each[k].reshape(len(w), -1) for each, w in zip(made, node.weight, strict=True)])
                for k in (0, 1)
            ]
            if node.bias is not None:
                bias = node.bias.reshape(len(node.weight), -1, 1)
                ends = [_down(ends[0] + bias), _up(ends[1] + bias)]
            order = (2, 0, 1) if node.channels_last else (0, 1, 2)
            return ends[0].transpose(order).reshape(-1), ends[1].transpose(order).reshape(-1)
        case Move():
            joined = [np.append(np.concatenate([each[k] for each in sources]), 0.0)[node.index] for k in (0, 1)]
            return joined[0], joined[1]
        case Sum():
            other = sources[1] if node.sign > 0 else (-sources[1][1], -sources[1][0])
            return _down(low + other[0]), _up(high + other[1])
        case Scale():
            ends = [node.factor * low, node.factor * high]
            size = np.maximum(np.abs(low), np.abs(high))
            slack = (size * (node.factor_error + 4 * _UNIT * np.abs(node.factor)) + node.shift_error + _TINY) * _SAFETY
            return _down(np.minimum(*ends) - slack + node.shift), _up(np.maximum(*ends) + slack + node.shift)
        case Largest():
            filled = [np.where(node.index < 0, -np.inf, np.append(end, 0.0)[node.index]) for end in (low, high)]
            return filled[0].max(axis=1), filled[1].max(axis=1)
        case Mean():
            parts = [np.append(end, 0.0)[node.index] for end in (low, high)]
            slack = (node.index.shape[1] + 4) * _UNIT * np.abs(np.stack(parts)).max(axis=0).sum(
                axis=1
            ) * _SAFETY + _TINY
            first, second = (part.sum(axis=1) for part in parts)
            return _down((first - slack) / node.divisor), _up((second + slack) / node.divisor)
    raise TypeError(f"{type(node).__name__} is no step")


def _outward(weight: Floats, bias: Floats | None, low: Floats, high: Floats) -> Ends:
    """Ends of `weight h + bias` for `low <= h <= high`, each (parts, in); the answer is (out * parts,), by out."""
    step = max(1, _NUMBERS // max(1, weight.shape[1]))
    found = []
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        found.append(_outward_block(weight[part], None if bias is None else bias[part], low, high))
    return np.concatenate([ends[0] for ends in found]), np.concatenate([ends[1] for ends in found])


def _outward_block(weight: Floats, bias: Floats | None, low: Floats, high: Floats) -> Ends:
    up, down = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    size = np.maximum(np.abs(low), np.abs(high))
    terms = weight.shape[1] + 4
    offset = 0.0 if bias is None else bias[:, None]
    slack = (terms * _UNIT * ((up - down) @ size.T + np.abs(offset)) * 2 + terms * _TINY) * _SAFETY
    slack = np.where(((weight != 0).astype(np.float32) @ (size > 0).T.astype(np.float32)) > 0, slack, 0.0)
    bottom = up @ low.T + down @ high.T + offset - slack
    top = up @ high.T + down @ low.T + offset + slack
    return bottom.reshape(-1), top.reshape(-1)


def _down(values: Floats) -> Floats:
    return np.nextafter(values, -np.inf)


def _up(values: Floats) -> Floats:
    return np.nextafter(values, np.inf)
