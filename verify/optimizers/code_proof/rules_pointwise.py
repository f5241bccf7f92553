"""Rules of the operations that act element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from verify.optimizers.code_proof.arithmetic import Arithmetic
from verify.optimizers.code_proof.conditions import Combination, Comparison, remember
from verify.optimizers.code_proof.element import (
    INFINITY,
    Element,
    Format,
    constant,
)
from verify.optimizers.code_proof.interpreter import Interpreter, Value, form_of, rule
from verify.optimizers.code_proof.plain import max, min
from verify.optimizers.code_proof.promotion import as_floating, promoted
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.tensor import AbstractTensor

__all__: list[str] = []

Arguments = tuple[Any, ...]
Options = dict[str, Any]
ONE_ELEMENT = Callable[[Arithmetic, Format, Element], Element]
TWO_ELEMENTS = Callable[[Arithmetic, Format, Element, Element], Element]


def _given(args: Arguments, options: Options, position: int, name: str, default: Any) -> Any:
    return args[position] if len(args) > position else options.get(name, default)


def same_place(first: Any, second: Any) -> bool:
    """Whether two tensors are the same elements of the same memory."""
    if not (isinstance(first, AbstractTensor) and isinstance(second, AbstractTensor)) or first.dtype != second.dtype:
        return False
    mine, their = first.codes, second.codes
    return mine.data_ptr() == their.data_ptr() and mine.shape == their.shape and mine.stride() == their.stride()


# --- one operand -----------------------------------------------------------------------------------------------------


def _sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number)) if number >= 0 else math.exp(number) / (1 + math.exp(number))


def _softplus(number: float) -> float:
    return max(number, 0.0) + math.log1p(math.exp(-abs(number)))


def _increasing(function: Callable[[float], float], lowest: float, highest: float) -> ONE_ELEMENT:
    return lambda arithmetic, form, x: arithmetic.increasing(form, x, function, lowest, highest)


def _logarithm(function: Callable[[float], float], pole: float) -> ONE_ELEMENT:
    return lambda arithmetic, form, x: arithmetic.logarithm(form, x, function, pole)


def _stepwise(function: Callable[[float], float]) -> ONE_ELEMENT:
    return lambda arithmetic, form, x: arithmetic.stepwise(form, x, function)


def _relu(arithmetic: Arithmetic, form: Format, x: Element) -> Element:
    return arithmetic.maximum(form, x, constant(0.0))


REAL_VALUED: dict[str, ONE_ELEMENT] = {
    "sqrt": Arithmetic.sqrt,
    "rsqrt": Arithmetic.rsqrt,
    "reciprocal": Arithmetic.reciprocal,
    "exp": _increasing(math.exp, 0.0, INFINITY),
    "exp2": _increasing(lambda number: math.pow(2.0, number), 0.0, INFINITY),
    "expm1": _increasing(math.expm1, -1.0, INFINITY),
    "tanh": _increasing(math.tanh, -1.0, 1.0),
    "atan": _increasing(math.atan, -math.pi / 2, math.pi / 2),
    "erf": _increasing(math.erf, -1.0, 1.0),
    "sigmoid": _increasing(_sigmoid, 0.0, 1.0),
    "log": _logarithm(math.log, 0.0),
    "log2": _logarithm(math.log2, 0.0),
    "log10": _logarithm(math.log10, 0.0),
    "log1p": _logarithm(math.log1p, -1.0),
    "sin": lambda arithmetic, form, x: x if x.is_zero else arithmetic.bounded(form, x, -1.0, 1.0),
    "cos": lambda arithmetic, form, x: arithmetic.bounded(form, x, -1.0, 1.0),
}

SAME_DTYPE: dict[str, ONE_ELEMENT] = {
    "neg": Arithmetic.neg,
    "abs": Arithmetic.absolute,
    "square": Arithmetic.square,
    "sign": Arithmetic.sign,
    "sgn": Arithmetic.sign,
    "floor": _stepwise(math.floor),
    "ceil": _stepwise(math.ceil),
    "trunc": _stepwise(math.trunc),
    "round": _stepwise(round),
    "frac": Arithmetic.fraction,
    "relu": _relu,
    "positive": lambda arithmetic, form, x: x,
}

QUESTIONS: dict[str, ONE_ELEMENT] = {
    "isnan": Arithmetic.is_nan,
    "isinf": Arithmetic.is_infinite,
    "logical_not": Arithmetic.invert,
}


def _register_unary() -> None:
    for name, function in REAL_VALUED.items():
        _register_one(name, function, as_floating)
    for name, function in SAME_DTYPE.items():
        _register_one(name, function, lambda dtype: dtype)

    for name, function in QUESTIONS.items():
        _register_question(name, function)


def _register_one(name: str, function: ONE_ELEMENT, computed_in: Callable[[torch.dtype], torch.dtype]) -> None:
    # Rounding to some digits is a different function; only the plain overload is covered.
    @rule(f"{name}.default" if name == "round" else name)
    def unary(machine: Interpreter, args: Arguments, options: Options) -> Value:
        dtype = computed_in(args[0].dtype)
        apply = partial(function, machine.arithmetic)
        return Value(machine.pointwise(name, apply, [args[0]], dtype=dtype), dtype)


def _register_question(name: str, function: ONE_ELEMENT) -> None:
    @rule(name)
    def question(machine: Interpreter, args: Arguments, options: Options) -> Value:
        def ask(form: Format, x: Element) -> Element:
            result = function(machine.arithmetic, form, x)
            return remember(Combination("not", (x,)), result) if name == "logical_not" else result

        return Value(machine.pointwise(name, ask, [args[0]], dtype=args[0].dtype), torch.bool)


@rule("bitwise_not")
def _bitwise_not(machine: Interpreter, args: Arguments, options: Options) -> Value:
    if args[0].dtype is not torch.bool:
        raise NoProof("bitwise operations on whole numbers are not interpreted")

    def invert(form: Format, x: Element) -> Element:
        return remember(Combination("not", (x,)), machine.arithmetic.invert(form, x))

    return Value(machine.pointwise("not", invert, [args[0]], dtype=torch.bool), torch.bool)


@rule("nan_to_num")
def _nan_to_num(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = args[0].dtype
    form = form_of(dtype)
    defaults = (0.0, form.maximum, form.minimum)
    chosen = [_given(args, options, 1 + i, name, None) for i, name in enumerate(("nan", "posinf", "neginf"))]
    by = [
        constant(float(default if number is None else number)) for number, default in zip(chosen, defaults, strict=True)
    ]
    codes = machine.pointwise(
        ("nan_to_num", tuple(by)), lambda form, x: machine.arithmetic.nan_to_num(form, x, *by), [args[0]], dtype=dtype
    )
    return Value(codes, dtype)


# --- two operands ----------------------------------------------------------------------------------------------------


def _register_sum(name: str) -> None:
    @rule(name)
    def scaled_sum(machine: Interpreter, args: Arguments, options: Options) -> Value:
        """X + alpha * y and x - alpha * y."""
        dtype = promoted(args[:2])
        method = machine.arithmetic.sub_scaled if name == "sub" else machine.arithmetic.add_scaled
        alpha = _given(args, options, 2, "alpha", 1)
        return Value(machine.pointwise(name, method, [args[0], args[1], alpha], dtype=dtype), dtype)


@rule("rsub")
def _rsub(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = promoted(args[:2])
    alpha = _given(args, options, 2, "alpha", 1)
    return Value(machine.pointwise("sub", machine.arithmetic.sub_scaled, [args[1], args[0], alpha], dtype=dtype), dtype)


@rule("mul")
def _mul(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = promoted(args[:2])
    if dtype is torch.bool:
        return Value(machine.pointwise("and", machine.arithmetic.both, args[:2], dtype=dtype), dtype)
    if same_place(args[0], args[1]):
        return Value(machine.pointwise("square", machine.arithmetic.square, args[:1], dtype=dtype), dtype)
    return Value(machine.pointwise("mul", machine.arithmetic.mul, args[:2], dtype=dtype), dtype)


@rule("div")
def _div(machine: Interpreter, args: Arguments, options: Options) -> Value:
    mode = options.get("rounding_mode", args[2] if len(args) > 2 else None)
    if mode is None:
        dtype = as_floating(promoted(args[:2]))
        return Value(machine.pointwise("div", machine.arithmetic.div, args[:2], dtype=dtype), dtype)
    return _rounded_quotient(machine, args, math.floor if mode == "floor" else math.trunc)


@rule("floor_divide")
def _floor_divide(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _rounded_quotient(machine, args, math.floor)


def _rounded_quotient(machine: Interpreter, args: Arguments, function: Callable[[float], float]) -> Value:
    """Floor or trunc of a quotient, the exact one or the rounded one."""
    dtype = promoted(args[:2])
    arithmetic = machine.arithmetic

    def quotient(form: Format, x: Element, y: Element) -> Element:
        if not form.floating:
            if y.may_be_zero:
                raise NoProof("a whole number is divided by one that may be 0")
            ends = [function(a / b) for a in (x.lo, x.hi) for b in (y.lo, y.hi)]
            return arithmetic.settle(form, (x, y), min(ends) - 1, max(ends) + 1)
        exact = arithmetic.div(form, x, y, loose=True)
        nan = exact.nan or x.may_be_infinite or y.may_be_infinite or exact.may_be_infinite
        # One unit of slack: the kernel may round the quotient of a remainder, or take it of the rounded quotient.
        rounded = arithmetic.stepwise(form, exact, function)
        lo, hi = (0.0, 0.0) if exact.is_zero else (rounded.lo - 1, rounded.hi + 1)
        return Element(form.down(lo), form.up(hi), nan)

    return Value(machine.pointwise(("quotient", function is math.floor), quotient, args[:2], dtype=dtype), dtype)


SAME_DTYPE_PAIRS: dict[str, TWO_ELEMENTS] = {
    "maximum": Arithmetic.maximum,
    "minimum": Arithmetic.minimum,
    "fmod": Arithmetic.remainder,
    "remainder": Arithmetic.remainder,
}

COMPARISONS: dict[str, TWO_ELEMENTS] = {
    "lt": Arithmetic.lt,
    "le": Arithmetic.le,
    "gt": Arithmetic.gt,
    "ge": Arithmetic.ge,
    "eq": Arithmetic.eq,
    "ne": Arithmetic.ne,
}

LOGIC: dict[str, TWO_ELEMENTS] = {
    "logical_and": Arithmetic.both,
    "logical_or": Arithmetic.either,
    "logical_xor": Arithmetic.differ,
    "bitwise_and": Arithmetic.both,
    "bitwise_or": Arithmetic.either,
    "bitwise_xor": Arithmetic.differ,
}


def _register_binary() -> None:
    for name in ("add", "sub"):
        _register_sum(name)
    for name, function in SAME_DTYPE_PAIRS.items():
        _register_pair(name, function)
    for name, function in COMPARISONS.items():
        _register_comparison(name, function)
    for name, function in LOGIC.items():
        _register_logic(name, function)


def _register_pair(name: str, function: TWO_ELEMENTS) -> None:
    @rule(name)
    def pair(machine: Interpreter, args: Arguments, options: Options) -> Value:
        dtype = promoted(args[:2])
        apply = partial(function, machine.arithmetic)
        return Value(machine.pointwise(name, apply, args[:2], dtype=dtype), dtype)


def _register_comparison(name: str, function: TWO_ELEMENTS) -> None:
    @rule(name)
    def comparison(machine: Interpreter, args: Arguments, options: Options) -> Value:
        dtype = promoted(args[:2])

        def compare(form: Format, x: Element, y: Element) -> Element:
            result = function(machine.arithmetic, form, x, y)
            return remember(Comparison(name, not form.floating, x, y), result)

        return Value(machine.pointwise(name, compare, args[:2], dtype=dtype), torch.bool)


def _register_logic(name: str, function: TWO_ELEMENTS) -> None:
    @rule(name)
    def logic(machine: Interpreter, args: Arguments, options: Options) -> Value:
        dtype = promoted(args[:2])
        if name.startswith("bitwise") and dtype is not torch.bool:
            raise NoProof("bitwise operations on whole numbers are not interpreted")
        kind = name.rpartition("_")[2]

        def combine(form: Format, x: Element, y: Element) -> Element:
            result = function(machine.arithmetic, form, x, y)
            return result if kind == "xor" else remember(Combination(kind, (x, y)), result)

        return Value(machine.pointwise(name, combine, args[:2], dtype=dtype), torch.bool)


@rule("fmax", "fmin")
def _fmax(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """The larger or smaller number, ignoring NaN: one of the two."""
    dtype = promoted(args[:2])
    codes = machine.pointwise(
        "one of two",
        lambda form, x, y: machine.arithmetic.where(form, Element(0.0, 1.0), x, y).bare(),
        args[:2],
        dtype=dtype,
    )
    return Value(codes, dtype)


@rule("pow")
def _pow(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = promoted(args[:2])
    return Value(machine.pointwise("pow", machine.arithmetic.power, args[:2], dtype=dtype), dtype)


@rule("atan2")
def _atan2(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """atan2(y, x): within [-pi, pi], and 0 only where y is 0 and x certainly positive."""
    dtype = as_floating(promoted(args[:2]))

    def angle(form: Format, y: Element, x: Element) -> Element:
        nan = x.nan or y.nan
        if y.is_zero and x.lo > 0:
            return Element(0.0, 0.0, nan)
        lo = 0.0 if y.lo > 0 else -math.pi
        hi = 0.0 if y.hi < 0 else math.pi
        if x.lo > 0:
            lo, hi = max(lo, -math.pi / 2), min(hi, math.pi / 2)
        return machine.arithmetic.library(form, (), lo, hi, nan=nan)

    return Value(machine.pointwise("atan2", angle, args[:2], dtype=dtype), dtype)


@rule("copysign")
def _copysign(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """The size of x with the sign of y, which a zero may have either way."""
    dtype = as_floating(promoted(args[:2]))

    def signed(form: Format, x: Element, y: Element) -> Element:
        size = machine.arithmetic.absolute(form, x)
        if y.lo > 0 and not y.nan:
            return size.bare()
        if y.hi < 0 and not y.nan:
            return Element(-size.hi, -size.lo, size.nan)
        return Element(-size.hi, size.hi, size.nan)

    return Value(machine.pointwise("copysign", signed, args[:2], dtype=dtype), dtype)


@rule("hypot")
def _hypot(machine: Interpreter, args: Arguments, options: Options) -> Value:
    dtype = as_floating(promoted(args[:2]))
    codes = machine.pointwise(
        "hypot", lambda form, x, y: machine.arithmetic.norm(form, [x, y], 2.0), args[:2], dtype=dtype
    )
    return Value(codes, dtype)


# --- three operands --------------------------------------------------------------------------------------------------


def _register_fused(name: str) -> None:
    @rule(name)
    def fused(machine: Interpreter, args: Arguments, options: Options) -> Value:
        """X + value * a * b and x + value * a / b."""
        value = _given(args, options, 3, "value", 1)
        dtype = promoted(args[:3])
        if name == "addcmul" and same_place(args[1], args[2]):
            squared = machine.pointwise("addcsquare", machine.arithmetic.addcsquare, [*args[:2], value], dtype=dtype)
            return Value(squared, dtype)
        method = machine.arithmetic.addcdiv if name == "addcdiv" else machine.arithmetic.addcmul
        return Value(machine.pointwise(name, method, [*args[:3], value], dtype=dtype), dtype)


@rule("lerp")
def _lerp(machine: Interpreter, args: Arguments, options: Options) -> Value:
    weight = _given(args, options, 2, "weight", None)
    dtype = promoted(args[:2])
    return Value(machine.pointwise("lerp", machine.arithmetic.lerp, [args[0], args[1], weight], dtype=dtype), dtype)


@rule("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def _where(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _choice(machine, args[0], args[1], args[2], promoted(args[1:3]))


@rule("masked_fill")
def _masked_fill(machine: Interpreter, args: Arguments, options: Options) -> Value:
    return _choice(machine, args[1], args[2], args[0], args[0].dtype)


def _choice(machine: Interpreter, condition: torch.Tensor, x: Any, y: Any, dtype: torch.dtype) -> Value:
    form = form_of(dtype)
    operands = [machine.codes(condition)]
    for argument in (x, y):
        codes, source = machine.operand(argument, form)
        operands.append(codes if source is None else machine.convert(codes, source, dtype))
    codes = machine.apply(
        None, lambda mask, first, second: machine.arithmetic.where(form, mask, first, second), operands
    )
    return Value(codes, dtype)


def _register_clamp(name: str) -> None:
    @rule(name)
    def clamp(machine: Interpreter, args: Arguments, options: Options) -> Value:
        """min(max(x, low), high)."""
        low = None if name == "clamp_max" else _given(args, options, 1, "min", None)
        high = _given(args, options, 1 if name == "clamp_max" else 2, "max", None) if name != "clamp_min" else None
        bounds = [bound for bound in (low, high) if bound is not None]
        dtype = promoted([args[0], *bounds])

        def between(form: Format, x: Element, *ends: Element) -> Element:
            rest = list(ends)
            first = rest.pop(0) if low is not None else None
            second = rest.pop(0) if high is not None else None
            return machine.arithmetic.clamp(form, x, first, second)

        codes = machine.pointwise(("clamp", low is None, high is None), between, [args[0], *bounds], dtype=dtype)
        return Value(codes, dtype)


@rule("hardtanh")
def _hardtanh(machine: Interpreter, args: Arguments, options: Options) -> Value:
    low, high = _given(args, options, 1, "min_val", -1), _given(args, options, 2, "max_val", 1)
    dtype = args[0].dtype
    return Value(machine.pointwise("hardtanh", machine.arithmetic.clamp, [args[0], low, high], dtype=dtype), dtype)


@rule("softplus")
def _softplus_rule(machine: Interpreter, args: Arguments, options: Options) -> Value:
    """Beyond the threshold torch returns x itself: both are enclosed."""
    beta, threshold = _given(args, options, 1, "beta", 1), _given(args, options, 2, "threshold", 20)
    if not (isinstance(beta, int | float) and isinstance(threshold, int | float) and beta > 0):
        raise NoProof("softplus with unknown settings")
    dtype = args[0].dtype

    def softplus(form: Format, x: Element) -> Element:
        smooth = machine.arithmetic.increasing(form, x, lambda number: _softplus(beta * number) / beta, 0.0, INFINITY)
        return Element(min(smooth.lo, max(x.lo, threshold / beta)), smooth.hi, smooth.nan)

    return Value(machine.pointwise(("softplus", beta, threshold), softplus, [args[0]], dtype=dtype), dtype)


_register_unary()
_register_binary()
for _name in ("addcmul", "addcdiv"):
    _register_fused(_name)
for _name in ("clamp", "clamp_min", "clamp_max"):
    _register_clamp(_name)
