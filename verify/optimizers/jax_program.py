"""Programs that JAX traces, run with torch: so that what interprets torch code can interpret them.

`translated` turns a traced function (a jaxpr, which has no branches on values but those it names) into a list of
instructions, one for each primitive, each carried out by the torch operation of the same meaning. A primitive that has
no translation gives none of the whole program, with its name. Whole numbers of 32 bits become ones of 64 bits: they are
taken not to overflow. Keys of random numbers become zeros that nothing but a draw may use, and what JAX draws with them
becomes a draw of torch: other numbers of the same law.

Some instructions are written otherwise, with the same numbers (a zero may have another sign), so that more is seen of
them: `(-a) + b` as `b - a`; `(c x) x` with a constant `c >= 0` with its sign taken away; and, where asked to, a choice
by one truth value, of numbers that are computed with the ones compared, computes only the number that is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

__all__ = ["Program", "Untranslated", "translated"]

Made = Callable[..., torch.Tensor]


class Untranslated(Exception):
    """A primitive without translation; `str` is why."""


@dataclass(frozen=True)
class Constant:
    """A number or array that the program contains, in a tensor made anew at each run."""

    numbers: Any
    dtype: torch.dtype


@dataclass(frozen=True)
class Instruction:
    """Apply `function` to the values in these places, and put its result into `target`.

    name: of the primitive. chooses: the value is that in the third place if the truth value in the first one is true,
    else that in the second, and the other one is not needed.
    """

    name: str
    function: Callable[..., torch.Tensor]
    places: tuple[int, ...]
    target: int
    chooses: bool = False


@dataclass(frozen=True)
class Program:
    """A straight list of instructions. inputs, outputs: places; constants: what lies in places from the start."""

    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Constant], ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    @property
    def branches(self) -> bool:
        """Whether some value may be computed only where it is chosen."""
        return any(each.chooses for each in self.instructions)

    def run(self, arguments: Sequence[torch.Tensor], *, branching: bool = True) -> list[torch.Tensor]:
        """The outputs for these arguments; all tensors are new, or arguments.

        branching: compute only what is chosen, and ask for the truth value first.
        """
        values: dict[int, torch.Tensor] = dict(zip(self.inputs, arguments, strict=True))
        for place, constant in self.constants:
            values[place] = torch.tensor(constant.numbers, dtype=constant.dtype)
        made = {each.target: each if branching else replace(each, chooses=False) for each in self.instructions}
        for output in self.outputs:
            _compute(output, made, values)
        return [values[place] for place in self.outputs]


def _compute(wanted: int, made: dict[int, Instruction], values: dict[int, torch.Tensor]) -> None:
    """Fill a place, and before it those that it needs."""
    waiting = [wanted]
    while waiting:
        place = waiting[-1]
        if place in values:
            waiting.pop()
            continue
        each = made[place]
        needed = each.places
        if each.chooses:
            needed = needed[:1] if needed[0] not in values else needed[2:] if bool(values[needed[0]]) else needed[1:2]
        missing = [other for other in needed if other not in values]
        if missing:
            waiting.extend(reversed(missing))
        elif each.chooses:
            values[place] = values[needed[0]]
        else:
            values[place] = each.function(*(values[other] for other in needed))


def translated(closed: Any) -> Program:
    """The program of a closed jaxpr, without what no output needs. Fails: Untranslated."""
    maker = _Maker()
    inputs = [maker.new() for _ in closed.jaxpr.invars]
    for place, variable in _pairs(inputs, closed.jaxpr.invars):
        if _is_key(variable.aval):
            maker.keys.add(place)
    outputs = maker.inlined(closed, inputs)
    used, instructions = set(outputs), []
    for each in map(maker.choosing, reversed(maker.instructions)):
        if each.target in used:
            used.update(each.places)
            instructions.append(each)
    constants = tuple((place, each) for place, each in maker.constants.items() if place in used)
    return Program(tuple(inputs), constants, tuple(reversed(instructions)), tuple(outputs))


def dtype_of(dtype: Any) -> torch.dtype:
    """The torch type of the same name, but 64 bits for whole numbers of 32. Fails: Untranslated if torch has none."""
    found = torch.int64 if str(dtype) == "int32" else getattr(torch, str(dtype), None)
    if str(dtype) == "bool":
        return torch.bool
    if not isinstance(found, torch.dtype):
        raise Untranslated(f"numbers of type {dtype} have no translation")
    return found


class _Maker:
    """Makes the instructions.

    keys: the places of keys of random numbers. single: for the places of single values, and of arrays that repeat one,
    where that one is. truths: for the places of numbers 0 and 1 made of truth values, where these are.
    """

    def __init__(self) -> None:
        self.count = 0
        self.known: dict[object, int] = {}
        self.constants: dict[int, Constant] = {}
        self.instructions: list[Instruction] = []
        self.made: dict[int, Instruction] = {}
        self.keys: set[int] = set()
        self.single: dict[int, int] = {}
        self.truths: dict[int, int] = {}

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def constant(self, value: Any, dtype: torch.dtype) -> int:
        """The place of a number or array; equal ones share it."""
        numbers = value.tolist() if hasattr(value, "tolist") else value
        name = f"{numbers!r} {dtype}"
        if name not in self.known:
            self.known[name] = self.new()
            self.constants[self.known[name]] = Constant(numbers, dtype)
        return self.known[name]

    def key(self, aval: Any) -> int:
        """The place of a key, or of several: zeros that stand for it."""
        place = self.new()
        self.constants[place] = Constant(torch.zeros(tuple(aval.shape)).tolist(), torch.int64)
        self.keys.add(place)
        return place

    def inlined(self, closed: Any, arguments: Sequence[int]) -> list[int]:
        """Append the instructions of a closed jaxpr for arguments in these places; the places of its results."""
        constants = _pairs(closed.jaxpr.constvars, closed.consts)
        places = {variable: self._fixed(value, variable.aval) for variable, value in constants}
        places |= dict(_pairs(closed.jaxpr.invars, arguments))

        def place_of(atom: Any) -> int:
            return self._fixed(atom.val, atom.aval) if hasattr(atom, "val") else places[atom]

        for equation in closed.jaxpr.eqns:
            results = self._equation(equation, [place_of(atom) for atom in equation.invars])
            places |= dict(_pairs(equation.outvars, results))
        return [place_of(atom) for atom in closed.jaxpr.outvars]

    def _fixed(self, value: Any, aval: Any) -> int:
        return self.key(aval) if _is_key(aval) else self.constant(value, dtype_of(aval.dtype))

    def _equation(self, equation: Any, arguments: list[int]) -> list[int]:
        name, options = equation.primitive.name, equation.params
        draw = _draw_of(equation) if arguments and arguments[0] in self.keys else None
        if draw is not None:
            return [self._append("draw", draw, arguments[1:])]
        if name in _CALLS:
            return self.inlined(options.get("jaxpr") or options["call_jaxpr"], arguments)
        if name == "cond":
            return self._condition(equation, arguments)
        if name == "scan":
            return self._scan(equation, arguments)
        if name in _MAKES_KEYS or (name in _MOVES_KEYS and self.keys.intersection(arguments)):
            return [self.key(variable.aval) for variable in equation.outvars]
        if self.keys.intersection(arguments):
            raise Untranslated(f"the primitive {name} of JAX on keys of random numbers has no translation")
        if name not in _PRIMITIVES:
            raise Untranslated(f"the primitive {name} of JAX has no translation")
        (result,) = equation.outvars
        function = _PRIMITIVES[name](options, [atom.aval for atom in equation.invars], result.aval)
        place = self._once(name, function, arguments, options, result.aval)
        if result.aval.shape == ():
            self.single[place] = place
        elif name == "broadcast_in_dim" and arguments[0] in self.single:
            self.single[place] = self.single[arguments[0]]
        if name == "convert_element_type" and str(equation.invars[0].aval.dtype) == "bool":
            self.truths[place] = arguments[0]
        return [place]

    def _once(self, name: str, function: Made, arguments: list[int], options: dict[str, Any], aval: Any) -> int:
        """An instruction, or that which is there for the same; written otherwise where that shows more."""
        if name in ("add", "add_any"):
            for negated, other in (arguments, arguments[::-1]):
                if negated in self.made and self.made[negated].name == "neg":
                    return self._once("sub", torch.sub, [other, *self.made[negated].places], {}, aval)
        known = (name, tuple(arguments), str(aval), repr(sorted(options.items())))
        if known not in self.known:
            place = self._append(name, function, arguments)
            squares = name == "mul" and dtype_of(aval.dtype).is_floating_point and self._is_square(*arguments)
            self.known[known] = self._append("abs", torch.abs, [place]) if squares else place
        return self.known[known]

    def _is_square(self, first: int, second: int) -> bool:
        """Whether it is `(c x) x` with a constant c >= 0."""
        for product, factor in ((first, second), (second, first)):
            made = self.made.get(product)
            if made is not None and made.name == "mul" and factor in made.places:
                (other,) = [place for place in made.places if place != factor] or [factor]
                if other in self.constants and _least(self.constants[other].numbers) >= 0:
                    return True
        return False

    def _append(self, name: str, function: Callable[..., torch.Tensor], arguments: Sequence[int]) -> int:
        return self._added(Instruction(name, function, tuple(arguments), self.new()))

    def _added(self, made: Instruction) -> int:
        self.instructions.append(made)
        self.made[made.target] = made
        return made.target

    def _condition(self, equation: Any, arguments: list[int]) -> list[int]:
        """Both branches are pure: the one that is chosen is computed."""
        index, *operands = arguments
        branches = equation.params["branches"]
        if len(branches) != 2:
            raise Untranslated(f"the primitive cond of JAX with {len(branches)} branches has no translation")
        pairs = _pairs(*(self.inlined(branch, operands) for branch in branches))
        truth, results = self.truths.get(index, index), []
        for (first, second), variable in _pairs(pairs, equation.outvars):
            if self.keys.intersection((first, second)):
                results.append(self.key(variable.aval))
            else:
                results.append(self._added(Instruction("cond", _choose, (truth, first, second), self.new(), True)))
        return results

    def _scan(self, equation: Any, arguments: list[int]) -> list[int]:
        """A loop of known length over a state, with nothing collected or handed in step by step: unrolled."""
        options = equation.params
        constants, state = arguments[: options["num_consts"]], arguments[options["num_consts"] :]
        if len(state) != options["num_carry"] or len(equation.outvars) != options["num_carry"] or options["reverse"]:
            raise Untranslated("the primitive scan of JAX over arrays has no translation")
        for _ in range(options["length"]):
            state = self.inlined(options["jaxpr"], [*constants, *state])
        return state

    # --- choices that guard a division or a root ---------------------------------------------------------------------

    def choosing(self, each: Instruction) -> Instruction:
        """The instruction, made one that computes only what is chosen if one truth value guards a number in it."""
        if each.name != "select_n" or each.places[0] not in self.single:
            return each
        places = (self.single[each.places[0]], *each.places[1:])
        return replace(each, places=places, chooses=True) if self._guarded(*places) else each

    def _guarded(self, truth: int, *sides: int) -> bool:
        """Whether a number that is divided or the like is computed with those compared."""
        asked = self._behind(truth)
        compared = {place for made in asked.values() if made.name in _COMPARISONS for place in made.places}
        for side in sides:
            own = [made for place, made in self._behind(side).items() if place not in asked]
            uses = any(made.name not in _COMPARISONS and compared.intersection(made.places) for made in own)
            if uses and any(made.name in _PARTIAL for made in own):
                return True
        return False

    def _behind(self, place: int) -> dict[int, Instruction]:
        """The instructions that a place needs, itself included, by target."""
        found: dict[int, Instruction] = {}
        waiting = [place]
        while waiting:
            made = self.made.get(waiting.pop())
            if made is not None and made.target not in found:
                found[made.target] = made
                waiting.extend(made.places)
        return found


_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_PARTIAL = ("div", "sqrt", "rsqrt", "log", "log1p", "pow", "integer_pow")
_MAKES_KEYS = ("random_seed", "random_wrap", "random_unwrap", "random_split", "random_fold_in")
_MOVES_KEYS = ("slice", "squeeze", "reshape", "broadcast_in_dim", "concatenate", "transpose", "select_n", "copy")
_UNIFORM = ["broadcast_in_dim", "broadcast_in_dim", "random_bits", "shift_right_logical", "or", "bitcast_convert_type",
            "sub", "sub", "mul", "add", "max"]  # fmt: skip


def _is_key(aval: Any) -> bool:
    """Whether it is a key of random numbers, or the two whole numbers without sign that are in it."""
    return str(aval.dtype).startswith("key<") or str(aval.dtype) == "uint32"


def _draw_of(equation: Any) -> Made | None:
    """The draw of torch for a draw of JAX, known by its name and what it is made of; None if it is no draw."""
    if equation.primitive.name not in _CALLS:
        return None
    inner = equation.params["jaxpr"].jaxpr.eqns
    parts = [each.primitive.name for each in inner if each.primitive.name not in ("convert_element_type", "reshape")]
    shape, dtype = tuple(equation.outvars[0].aval.shape), dtype_of(equation.outvars[0].aval.dtype)
    match equation.params.get("name"):
        case "_uniform" if parts == _UNIFORM:
            return lambda low, high: torch.maximum(torch.rand(shape, dtype=dtype) * (high - low) + low, low)
        case "_normal_real" if parts == ["jit", "erf_inv", "mul"] and inner[0].params.get("name") == "_uniform":
            return lambda: torch.randn(shape, dtype=dtype)
    return None


def _least(numbers: Any) -> Any:
    return min(map(_least, numbers), default=0) if isinstance(numbers, list) else numbers


def _pairs(names: Sequence[Any], values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(names, values, strict=True))


def _choose(index: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.where(index.to(torch.bool), second, first)


# --- primitives --------------------------------------------------------------------------------------------------

_PRIMITIVES: dict[str, Callable[[dict[str, Any], list[Any], Any], Made]] = {}


def _plain(name: str, function: Made) -> None:
    _PRIMITIVES[name] = lambda options, arguments, result: function


def _primitive(name: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        _PRIMITIVES[name] = function
        return function

    return register


_POINTWISE: dict[str, Any] = {
    "abs": torch.abs, "add": torch.add, "add_any": torch.add, "sub": torch.sub, "mul": torch.mul, "neg": torch.neg,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "exp": torch.exp, "log": torch.log, "square": torch.square,
    "tanh": torch.tanh, "max": torch.maximum, "min": torch.minimum, "lt": torch.lt,
    "le": torch.le, "gt": torch.gt, "ge": torch.ge, "eq": torch.eq, "ne": torch.ne, "copy": torch.clone,
    "copy_p": torch.clone, "is_finite": torch.isfinite, "log1p": torch.log1p, "expm1": torch.expm1,
    "stop_gradient": torch.clone, "atan2": torch.atan2,
}  # fmt: skip
for _name, _function in _POINTWISE.items():
    _plain(_name, _function)


def _of_truth_values(name: str, function: Made) -> None:
    def made(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
        if str(result.dtype) != "bool":
            raise Untranslated(f"the primitive {name} of JAX on {result.dtype} has no translation")
        return function

    _PRIMITIVES[name] = made


_LOGICAL: dict[str, Any] = {"or": torch.logical_or, "and": torch.logical_and, "not": torch.logical_not}
for _name, _function in _LOGICAL.items():
    _of_truth_values(_name, _function)


@_primitive("sign")
def _sign(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    """Torch's own takes the sign of NaN for 0."""
    if not dtype_of(result.dtype).is_floating_point:
        return torch.sign
    return lambda x: torch.where(torch.isnan(x), x, torch.sign(x))


@_primitive("div")
def _div(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    if not dtype_of(result.dtype).is_floating_point:
        return lambda x, y: torch.div(x, y, rounding_mode="trunc")
    return torch.div


@_primitive("rem")
def _rem(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    return torch.fmod


@_primitive("pow")
def _pow(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    return lambda base, exponent: torch.pow(base, exponent.to(base.dtype))


@_primitive("integer_pow")
def _integer_pow(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    power = int(options["y"])
    return lambda x: torch.pow(x, power)


@_primitive("select_n")
def _select(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    if len(arguments) != 3 or str(arguments[0].dtype) != "bool":
        raise Untranslated("the primitive select_n of JAX with more than two cases has no translation")
    return lambda which, first, second: torch.where(which, second, first)


@_primitive("convert_element_type")
def _convert(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    """Whole numbers of NaN are 0, and those of 32 bits end at the largest, where torch says nothing."""
    dtype = dtype_of(result.dtype)
    if dtype == torch.int64 and dtype_of(arguments[0].dtype).is_floating_point:
        end = 2.0**31 if str(result.dtype) == "int32" else math.inf
        return lambda x: torch.where(torch.isnan(x), 0.0, torch.clamp(x, -end, end - 1)).to(dtype)
    return lambda x: x.to(dtype)


@_primitive("broadcast_in_dim")
def _broadcast(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    shape, kept = tuple(options["shape"]), tuple(options["broadcast_dimensions"])
    sizes = [1] * len(shape)
    for axis, place in enumerate(kept):
        sizes[place] = arguments[0].shape[axis]
    return lambda x: x.reshape(sizes).expand(shape)


@_primitive("reshape")
def _reshape(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    shape = tuple(result.shape)
    return lambda x: x.reshape(shape)


_PRIMITIVES["squeeze"] = _PRIMITIVES["expand_dims"] = _reshape


@_primitive("transpose")
def _transpose(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    order = tuple(options["permutation"])
    return lambda x: x.permute(order)


@_primitive("slice")
def _slice(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    strides = options["strides"] or (1,) * len(options["start_indices"])
    where = tuple(map(slice, options["start_indices"], options["limit_indices"], strides))
    return lambda x: x[where]


@_primitive("concatenate")
def _concatenate(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    axis = int(options["dimension"])
    return lambda *parts: torch.cat(parts, dim=axis)


@_primitive("reduce_sum")
def _sum(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    axes, dtype = tuple(options["axes"]), dtype_of(result.dtype)
    return lambda x: torch.sum(x, dim=axes, dtype=dtype) if axes else x.to(dtype)


def _extreme(name: str, function: Made) -> None:
    def made(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
        axes = tuple(options["axes"])
        if 0 in arguments[0].shape:
            raise Untranslated(f"the primitive {name} of JAX on nothing has no translation")
        return lambda x: function(x, dim=axes) if axes else x

    _PRIMITIVES[name] = made


_extreme("reduce_max", torch.amax)
_extreme("reduce_min", torch.amin)


@_primitive("dot_general")
def _dot(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    """Sums of products over pairs of axes, as products of two matrices, one for each place in the batch."""
    (left, right), (left_batch, right_batch) = options["dimension_numbers"]
    first, second = arguments
    rows = [axis for axis in range(first.ndim) if axis not in (*left, *left_batch)]
    columns = [axis for axis in range(second.ndim) if axis not in (*right, *right_batch)]
    batch, tall, inner = (math.prod(first.shape[axis] for axis in axes) for axes in (left_batch, rows, left))
    wide = math.prod(second.shape[axis] for axis in columns)
    shape, dtype = tuple(result.shape), dtype_of(result.dtype)

    def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = x.to(dtype).permute((*left_batch, *rows, *left)).reshape(batch, tall, inner)
        y = y.to(dtype).permute((*right_batch, *right, *columns)).reshape(batch, inner, wide)
        if not left_batch:
            return torch.mm(x[0], y[0]).reshape(shape)
        return torch.bmm(x, y).reshape(shape)

    return product


@_primitive("iota")
def _iota(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    shape, axis, dtype = tuple(result.shape), int(options["dimension"]), dtype_of(result.dtype)
    sizes = [shape[axis] if place == axis else 1 for place in range(len(shape))]
    return lambda: torch.arange(shape[axis]).to(dtype).reshape(sizes).expand(shape)


@_primitive("clamp")
def _clamp(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    return lambda low, x, high: torch.minimum(torch.maximum(x, low), high)


@_primitive("cbrt")
def _cbrt(options: dict[str, Any], arguments: list[Any], result: Any) -> Made:
    return lambda x: torch.sign(x) * torch.pow(torch.abs(x), 1 / 3)
