"""Programs that JAX traces, run with torch: so that what interprets torch code can interpret them.

`translated` turns a traced function (a jaxpr, which has no branches on values but those it names) into a list of
instructions, one for each primitive, each carried out by the torch operation of the same meaning. A primitive that has
no translation gives none of the whole program, with its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Program", "Untranslated", "translated"]


class Untranslated(Exception):
    """A primitive without translation; `str` is why."""


@dataclass(frozen=True)
class Constant:
    """A number or array that the program contains, in a tensor made anew at each run."""

    numbers: Any
    dtype: torch.dtype


@dataclass(frozen=True)
class Instruction:
    """Apply `function` to the values in these places, and put its result into `target`."""

    function: Callable[..., torch.Tensor]
    places: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class Program:
    """A straight list of instructions. inputs, outputs: places; constants: what lies in places from the start."""

    inputs: tuple[int, ...]
    constants: tuple[tuple[int, Constant], ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def run(self, arguments: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs for these arguments; all tensors are new, or arguments."""
        values: dict[int, torch.Tensor] = dict(zip(self.inputs, arguments, strict=True))
        for place, constant in self.constants:
            values[place] = torch.tensor(constant.numbers, dtype=constant.dtype)
        for each in self.instructions:
            values[each.target] = each.function(*(values[place] for place in each.places))
        return [values[place] for place in self.outputs]


def translated(closed: Any) -> Program:
    """The program of a closed jaxpr, without what no output needs. Fails: Untranslated."""
    maker = _Maker()
    inputs = [maker.new() for _ in closed.jaxpr.invars]
    outputs = maker.inlined(closed, inputs)
    used, instructions = set(outputs), []
    for each in reversed(maker.instructions):
        if each.target in used:
            used.update(each.places)
            instructions.append(each)
    constants = tuple(each for each in maker.constants if each[0] in used)
    return Program(tuple(inputs), constants, tuple(reversed(instructions)), tuple(outputs))


def dtype_of(dtype: Any) -> torch.dtype:
    """The torch type of the same name. Fails: Untranslated for types that torch lacks."""
    found = getattr(torch, str(dtype), None)
    if str(dtype) == "bool":
        return torch.bool
    if not isinstance(found, torch.dtype):
        raise Untranslated(f"numbers of type {dtype} have no translation")
    return found


class _Maker:
    def __init__(self) -> None:
        self.count = 0
        self.known: dict[str, int] = {}
        self.constants: list[tuple[int, Constant]] = []
        self.instructions: list[Instruction] = []

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def constant(self, value: Any, dtype: Any) -> int:
        """The place of a number or array; equal ones share it."""
        numbers = value.tolist() if hasattr(value, "tolist") else value
        name = f"{numbers!r} {dtype}"
        if name not in self.known:
            self.known[name] = self.new()
            self.constants.append((self.known[name], Constant(numbers, dtype_of(dtype))))
        return self.known[name]

    def inlined(self, closed: Any, arguments: Sequence[int]) -> list[int]:
        """Append the instructions of a closed jaxpr for arguments in these places; the places of its results."""
        constants = _pairs(closed.jaxpr.constvars, closed.consts)
        places = {variable: self.constant(value, variable.aval.dtype) for variable, value in constants}
        places |= dict(_pairs(closed.jaxpr.invars, arguments))

        def place_of(atom: Any) -> int:
            return self.constant(atom.val, atom.aval.dtype) if hasattr(atom, "val") else places[atom]

        for equation in closed.jaxpr.eqns:
            results = self._equation(equation, [place_of(atom) for atom in equation.invars])
            places |= dict(_pairs(equation.outvars, results))
        return [place_of(atom) for atom in closed.jaxpr.outvars]

    def _equation(self, equation: Any, arguments: list[int]) -> list[int]:
        name, options = equation.primitive.name, equation.params
        if name in ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"):
            return self.inlined(options.get("jaxpr") or options["call_jaxpr"], arguments)
        if name == "cond":
            return self._condition(equation, arguments)
        if name == "scan":
            return self._scan(equation, arguments)
        if name not in _PRIMITIVES:
            raise Untranslated(f"the primitive {name} of JAX has no translation")
        (result,) = equation.outvars
        function = _PRIMITIVES[name](options, [atom.aval for atom in equation.invars], result.aval)
        return [self._append(function, arguments)]

    def _append(self, function: Callable[..., torch.Tensor], arguments: Sequence[int]) -> int:
        target = self.new()
        self.instructions.append(Instruction(function, tuple(arguments), target))
        return target

    def _condition(self, equation: Any, arguments: list[int]) -> list[int]:
        """Both branches are pure: carry out both, then select."""
        index, *operands = arguments
        branches = equation.params["branches"]
        if len(branches) != 2:
            raise Untranslated(f"the primitive cond of JAX with {len(branches)} branches has no translation")
        first, second = (self.inlined(branch, operands) for branch in branches)
        return [self._append(_choose, (index, *pair)) for pair in zip(first, second, strict=True)]

    def _scan(self, equation: Any, arguments: list[int]) -> list[int]:
        """A loop of known length over a state, with nothing collected or handed in step by step: unrolled."""
        options = equation.params
        constants, state = arguments[: options["num_consts"]], arguments[options["num_consts"] :]
        if len(state) != options["num_carry"] or len(equation.outvars) != options["num_carry"] or options["reverse"]:
            raise Untranslated("the primitive scan of JAX over arrays has no translation")
        for _ in range(options["length"]):
            state = self.inlined(options["jaxpr"], [*constants, *state])
        return state


def _pairs(names: Sequence[Any], values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(names, values, strict=True))


def _choose(index: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.where(index.to(torch.bool), second, first)


# --- primitives --------------------------------------------------------------------------------------------------

Made = Callable[..., torch.Tensor]
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
    dtype = dtype_of(result.dtype)
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
    """Sums of products over pairs of axes, as a product of two matrices."""
    (left, right), (left_batch, right_batch) = options["dimension_numbers"]
    if left_batch or right_batch:
        raise Untranslated("the primitive dot_general of JAX in batches has no translation")
    first, second = arguments
    rows = [axis for axis in range(first.ndim) if axis not in left]
    columns = [axis for axis in range(second.ndim) if axis not in right]
    inner = math.prod(first.shape[axis] for axis in left)
    shape, dtype = tuple(result.shape), dtype_of(result.dtype)

    def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = x.to(dtype).permute((*rows, *left)).reshape(-1, inner)
        y = y.to(dtype).permute((*right, *columns)).reshape(inner, -1)
        return torch.mm(x, y).reshape(shape)

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
