"""The bound of T16 as a straight program: the steps of `verify.enclosure.curve`, written down, not carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import sympy

from theorems.bounds import P_DEAD, RADIUS, ROOT_NORM, SIZES, TREE_LENGTH
from theorems.curve import LENGTH, SURVIVAL, CurveLayer, CurveRecursion
from verify.certificate.terms import CannotBeWritten, Json, integer_power, ratio, term_of

__all__ = ["MAX_LAYERS", "curve_program"]

MAX_LAYERS = 10
"""Hidden layers up to which the program is written: each takes some 30 kB."""

_TAU, _ROOT, _RADIUS = str(TREE_LENGTH), str(ROOT_NORM), str(RADIUS)
_QUANTITIES = {symbol: str(symbol) for symbol in (P_DEAD, *SIZES)}


def curve_program(bound: CurveRecursion) -> Json:
    """Write the recursion of `CurveRecursion` step by step. Fails: CannotBeWritten for more than MAX_LAYERS layers."""
    if len(bound.layers) > MAX_LAYERS:
        raise CannotBeWritten(f"the program of a CurveRecursion with more than {MAX_LAYERS} layers is too long")
    program = _Program()
    survival = program.named("a1", ["sub", "1", term_of(bound.first, _QUANTITIES)])
    if len(bound.layers) == 1:
        return program.shape(["sub", "1", survival])
    further = [program.named(f"z1_{i}", term_of(part, _QUANTITIES)) for i, part in enumerate(bound.start)]
    constants = {layer: _Constants.of(program, layer, f"k{i}") for i, layer in enumerate(dict.fromkeys(bound.layers))}
    first = constants[bound.layers[0]]
    curve, length = _Curve.of_inputs(program, bound).after(first, "1", fine=bound.fine_layers >= 1)
    for number, layer in enumerate(bound.layers[1:], start=2):
        here = constants[layer]
        arguments = dict(zip(bound.further, further, strict=True)) | {SURVIVAL: survival, LENGTH: length}
        arguments |= dict(zip(bound.parameters, here.values, strict=True))
        off = program.named(f"o{number}", term_of(bound.off, arguments))
        if number < len(bound.layers):  # nobody asks for the state of the last layer
            further = [program.named(f"z{number}_{i}", term_of(part, arguments)) for i, part in enumerate(bound.step)]
            curve, length = curve.after(here, survival, fine=bound.fine_layers >= number)
        death = ["max", integer_power(off, layer.width), here.signs]
        survival = program.named(f"a{number}", ["mul", survival, ["sub", "1", death]])
    return program.shape(["sub", "1", survival])


@dataclass(frozen=True)
class _Program:
    """Steps so far; a step is only written where something is computed."""

    steps: list[Json] = field(default_factory=list)

    def named(self, name: str, term: Json) -> str:
        """Append a step and return its name; a number or a name stands for itself."""
        if isinstance(term, str):
            return term
        self.steps.append([name, term])
        return name

    def shape(self, result: Json) -> Json:
        """The finished shape."""
        return {"kind": "program", "steps": self.steps, "result": result}


def _add(*terms: Json) -> Json:
    kept = [term for term in terms if term != "0"]
    return ["add", *kept] if len(kept) > 1 else kept[0] if kept else "0"


def _mul(*factors: Json) -> Json:
    if "0" in factors:
        return "0"
    kept = [factor for factor in factors if factor != "1"]
    return ["mul", *kept] if len(kept) > 1 else kept[0] if kept else "1"


@dataclass(frozen=True)
class _Constants:
    """The constants of a layer as names: as in `CurveLayer`, with growth `l s^2/2`, and `eta' s`."""

    width: int
    weight_variance: str
    bias_variance: str
    density: str
    spine: str
    signs: str
    growth: str
    edge: str
    values: list[str]

    @classmethod
    def of(cls, program: _Program, layer: CurveLayer, name: str) -> _Constants:
        """Write the steps that compute them."""

        def constant(key: str, expression: sympy.Expr) -> str:
            return program.named(f"{name}{key}", term_of(expression, {}))

        weight = constant("w", layer.weight_variance)
        edge = constant("e", layer.edge)
        return cls(
            layer.width,
            weight,
            constant("b", layer.bias_variance),
            constant("f", layer.density),
            constant("s", layer.spine),
            constant("q", layer.signs),
            program.named(f"{name}g", _mul(ratio(Fraction(layer.width, 2)), weight)),
            program.named(f"{name}t", _mul(edge, ["sqrt", weight])),
            [constant(f"v{i}", value) for i, value in enumerate(layer.values)],
        )


@dataclass(frozen=True)
class _Curve:
    """The state after `number` layers, at each end `gamma` of a piece, as names; see `verify.enclosure.curve`."""

    program: _Program
    number: int
    shift: int
    factors: tuple[Fraction, ...]
    norms: list[str]
    rises: list[str]
    paths: list[str]
    speeds: list[str]
    contraction: str
    edges: str
    excess: str

    @classmethod
    def of_inputs(cls, program: _Program, bound: CurveRecursion) -> _Curve:
        """The state before the first layer."""
        factors = tuple(Fraction(i, bound.pieces) for i in range(bound.pieces + 1))
        shift = int(bound.weights_only)
        root = program.named("rr", ["pow", _ROOT, 2])
        excess = program.named("xx", ["sub", ["pow", _RADIUS, 2], root])
        lengths = [ratio(factor**2) if shift else "1" for factor in factors]

        def at_each(key: str, multiple: int) -> list[str]:
            return [program.named(f"{key}0_{i}", _mul(str(multiple), length, root)) for i, length in enumerate(lengths)]

        norms = at_each("n", 1)
        return cls(
            program,
            0,
            shift,
            factors,
            norms,
            rises=at_each("r", shift + 1),
            paths=at_each("p", (shift + 1) ** 2),
            speeds=[root if shift else "0"] * len(factors),
            contraction="1",
            edges=_TAU,
            excess=excess,
        )

    def after(self, layer: _Constants, survival: str, *, fine: bool) -> tuple[_Curve, str]:
        """Pass a layer, reached with probability at most `survival`; also return `Lambda + T` behind it."""
        program, k = self.program, self.number + 1
        bias2 = program.named(f"b{k}", _mul(layer.bias_variance, survival))
        fresh = program.named(f"f{k}", _mul(ratio(Fraction(layer.width, 2)), bias2))
        growth = layer.growth
        crossing = program.named(f"c{k}", self._crossing() if fine else self._crossing_at_most())
        reached = _mul("2", layer.density, growth, _TAU, _mul_root(self.contraction), crossing)
        edges = program.named(f"t{k}", _add(_mul(layer.edge, self.edges), reached))
        spine = self._spine(bias2, layer.weight_variance)
        length = program.named(f"l{k}", _add(_mul(layer.spine, _mul_root(survival), spine), edges))
        squares = [ratio(factor**2) for factor in self.factors]
        norms, rises, paths, speeds = [], [], [], []
        three = program.named(f"g{k}", _mul("3", fresh))
        for i, y in enumerate(squares):
            n, r, p = self.norms[i], self.rises[i], self.paths[i]
            inner = program.named(f"i{k}_{i}", _add(fresh, _mul(growth, n)))
            norms.append(program.named(f"n{k}_{i}", _mul(y, inner)))
            rises.append(program.named(f"r{k}_{i}", _mul(y, _add(fresh, inner, _mul(growth, r)))))
            doubled = _mul(growth, _add(_mul("2", r), p))
            paths.append(program.named(f"p{k}_{i}", _mul(y, _add(three, inner, doubled))))
            speeds.append(program.named(f"e{k}_{i}", _add(fresh, _mul(growth, p))))
        contraction = program.named(f"h{k}", _mul(growth, self.contraction))
        moved = _Curve(
            program, k, self.shift, self.factors, norms, rises, paths, speeds, contraction, edges, self.excess
        )
        return moved, length

    def _spine(self, bias2: str, weight2: str) -> Json:
        """Bound `int sqrt(sigma^2 a + s^2 pi)` over [0, 1], above the root."""
        k = self.number + 1
        speeds = [
            self.program.named(f"s{k}_{i}", _add(bias2, _mul(weight2, path))) for i, path in enumerate(self.paths)
        ]
        roots = [["sqrt", ["div", ["add", left, right], "2"]] for left, right in pairwise(speeds)]
        return ["div", ["add", *roots], str(len(roots))]

    def _input_part(self) -> Json:
        return _mul(self.excess, self.contraction, str((self.number + self.shift) ** 2))

    def _crossing(self) -> Json:
        """Bound `int gamma^j sqrt(e)` over [0, 1], `e` above the largest input, `j = k + 1 + delta`."""
        k, exponent = self.number + 1, self.number + self.shift
        part = self.program.named(f"x{k}", self._input_part())
        before = [factor ** max(exponent - 1, 0) for factor in self.factors]  # where exponent is 0, so is `part`
        speeds = [
            self.program.named(f"y{k}_{i}", _add(speed, _mul(part, ratio(power**2))))
            for i, (speed, power) in enumerate(zip(self.speeds, before, strict=True))
        ]
        roots: Sequence[Json] = [
            ["sqrt", _add(_mul(ratio(low), speed), _mul(ratio(high), after))]
            for (low, high), (speed, after) in zip(self._chord_weights(exponent + 1), pairwise(speeds), strict=True)
            if (speed, after) != ("0", "0")
        ]
        return _add(*roots)

    def _chord_weights(self, j: int) -> list[tuple[Fraction, Fraction]]:
        """`mass int gamma^j chord` over a piece is a combination of the ends of the chord: its two coefficients."""
        pieces, weights = len(self.factors) - 1, []
        for left, right in pairwise(self.factors):
            mass = (right ** (j + 1) - left ** (j + 1)) / (j + 1)
            moment = (right ** (j + 2) - left ** (j + 2)) / (j + 2)
            upper = (moment - left * mass) * pieces
            weights.append((mass * (mass - upper), mass * upper))
        return weights

    def _crossing_at_most(self) -> Json:
        """A rougher bound of the same integral: `e` is largest at the end, where `gamma = 1`."""
        end = _add(self.speeds[-1], self._input_part())
        return ["div", ["sqrt", end], str(self.number + self.shift + 2)]


def _mul_root(term: str) -> Json:
    return "1" if term == "1" else ["sqrt", term]
