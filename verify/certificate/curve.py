"""The bound of T16 as a straight program: the steps of `verify.enclosure.curve`, written down, not carried out.

Polynomials in the decay factor are vectors of their values at the ends of the pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy

from theorems.bounds import RADIUS, ROOT_NORM, TREE_LENGTH
from theorems.curve import LENGTH, SURVIVAL, CurveLayer, CurveRecursion
from verify.certificate.programs import QUANTITY_NAMES, Program
from verify.certificate.sums import add, mul
from verify.certificate.terms import Json, integer_power, ratio, term_of

__all__ = ["curve_program"]

_TAU, _ROOT, _RADIUS = str(TREE_LENGTH), str(ROOT_NORM), str(RADIUS)
FACTORS, SQUARES, NOTHING, LAST = "G", "Y", "O", "L"
"""Vectors: the factors gamma, their squares, zeros, and zeros but for a last 1."""


def curve_program(bound: CurveRecursion) -> Json:
    """Write the recursion of `CurveRecursion` step by step. Fails: CannotBeWritten if that is too long."""
    program = Program()
    survival = program.named("a1", ["sub", "1", term_of(bound.first, QUANTITY_NAMES)])
    if len(bound.layers) == 1:
        return program.shape(["sub", "1", survival])
    further = [program.named(f"z1_{i}", term_of(part, QUANTITY_NAMES)) for i, part in enumerate(bound.start)]
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
    def of(cls, program: Program, layer: CurveLayer, name: str) -> _Constants:
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
            program.named(f"{name}g", mul(ratio(Fraction(layer.width, 2)), weight)),
            program.named(f"{name}t", mul(edge, ["sqrt", weight])),
            [constant(f"v{i}", value) for i, value in enumerate(layer.values)],
        )


@dataclass(frozen=True)
class _Curve:
    """The state after `number` layers as names, vectors but for the last three; see `verify.enclosure.curve`."""

    program: Program
    number: int
    shift: int
    pieces: int
    norms: str
    rises: str
    paths: str
    speeds: str
    contraction: str
    edges: str
    excess: str

    @classmethod
    def of_inputs(cls, program: Program, bound: CurveRecursion) -> _Curve:
        """The state before the first layer."""
        pieces, shift = bound.pieces, int(bound.weights_only)
        program.named(FACTORS, ["vector", *(ratio(Fraction(i, pieces)) for i in range(pieces + 1))])
        program.named(SQUARES, ["pow", FACTORS, 2])
        program.named(NOTHING, ["mul", "0", FACTORS])
        program.named(LAST, ["vector", ["init", NOTHING], "1"])
        root = program.named("rr", ["pow", _ROOT, 2])
        norms = program.named("n0", mul(root, SQUARES) if shift else add(NOTHING, root))
        return cls(
            program,
            0,
            shift,
            pieces,
            norms,
            rises=program.named("r0", ["mul", str(shift + 1), norms]),
            paths=program.named("p0", ["mul", str((shift + 1) ** 2), norms]),
            speeds=program.named("e0", add(NOTHING, root)) if shift else NOTHING,
            contraction="1",
            edges=_TAU,
            excess=program.named("xx", ["sub", ["pow", _RADIUS, 2], root]),
        )

    def after(self, layer: _Constants, survival: str, *, fine: bool) -> tuple[_Curve, str]:
        """Pass a layer, reached with probability at most `survival`; also return `Lambda + T` behind it."""
        program, k, growth = self.program, self.number + 1, layer.growth
        bias2 = program.named(f"b{k}", mul(layer.bias_variance, survival))
        fresh = program.named(f"f{k}", mul(ratio(Fraction(layer.width, 2)), bias2))
        crossing = program.named(f"c{k}", self._crossing() if fine else self._crossing_at_most())
        reached = mul("2", layer.density, growth, _TAU, _root(self.contraction), crossing)
        edges = program.named(f"t{k}", add(mul(layer.edge, self.edges), reached))
        spine = self._spine(bias2, layer.weight_variance)
        length = program.named(f"l{k}", add(mul(layer.spine, _root(survival), spine), edges))
        inner = program.named(f"i{k}", add(fresh, mul(growth, self.norms)))
        rises = add(fresh, inner, mul(growth, self.rises))
        paths = add(mul("3", fresh), inner, mul(growth, add(mul("2", self.rises), self.paths)))
        moved = _Curve(
            program,
            k,
            self.shift,
            self.pieces,
            norms=program.named(f"n{k}", mul(SQUARES, inner)),
            rises=program.named(f"r{k}", mul(SQUARES, rises)),
            paths=program.named(f"p{k}", mul(SQUARES, paths)),
            speeds=program.named(f"e{k}", add(fresh, mul(growth, self.paths))),
            contraction=program.named(f"h{k}", mul(growth, self.contraction)),
            edges=edges,
            excess=self.excess,
        )
        return moved, length

    def _spine(self, bias2: str, weight2: str) -> Json:
        """Bound `int sqrt(sigma^2 a + s^2 pi)` over [0, 1], above the root."""
        speeds = self.program.named(f"s{self.number + 1}", add(bias2, mul(weight2, self.paths)))
        middles = ["div", ["add", ["init", speeds], ["rest", speeds]], "2"]
        return ["div", ["sum", ["sqrt", middles]], str(self.pieces)]

    @property
    def _exponent(self) -> int:
        return self.number + self.shift

    def _input_part(self) -> Json:
        return mul(self.excess, self.contraction, str(self._exponent**2))

    def _crossing(self) -> Json:
        """Bound `int gamma^j sqrt(e)` over [0, 1], `e` above the largest input, `j = k + 1 + delta`.

        On each piece, with the chord of `e`: `sqrt(int gamma^j) sqrt(int gamma^j chord)`.
        """
        program, k, j = self.program, self.number + 1, self._exponent + 1
        power: Json = ["pow", FACTORS, 2 * max(self._exponent - 1, 0)]
        speeds = program.named(f"y{k}", add(self.speeds, mul(self._input_part(), power)))

        def integral(exponent: int) -> Json:
            powers: Json = ["pow", FACTORS, exponent + 1]
            return ["div", ["sub", ["rest", powers], ["init", powers]], str(exponent + 1)]

        mass = program.named(f"m{k}", integral(j))
        upper = mul(str(self.pieces), ["sub", integral(j + 1), mul(["init", FACTORS], mass)])
        rise = ["sub", ["rest", speeds], ["init", speeds]]
        return ["sum", ["sqrt", mul(mass, add(mul(["init", speeds], mass), mul(rise, upper)))]]

    def _crossing_at_most(self) -> Json:
        """A rougher bound of the same integral: `e` is largest at the end, where `gamma = 1`."""
        end = add(["sum", ["mul", self.speeds, LAST]], self._input_part())
        return ["div", ["sqrt", end], str(self._exponent + 2)]


def _root(term: str) -> Json:
    return "1" if term == "1" else ["sqrt", term]
