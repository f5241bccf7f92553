"""Rules of torch's fused optimizer steps on the CPU: one kernel for the whole update of a parameter.

Each rule repeats the formula of the kernel with operations that allow any rounding in between. `m` and `v` are the
running means of the gradient `g` and of its square, `t` the number of the step.
"""

from __future__ import annotations

from typing import Any

import torch

from verify.optimizers.code_proof.arithmetic import Arithmetic
from verify.optimizers.code_proof.element import ONE, Element, Format, constant, format_of, join
from verify.optimizers.code_proof.interpreter import Interpreter, Value, form_of, writer
from verify.optimizers.code_proof.refusal import NoProof
from verify.optimizers.code_proof.scalars import number_element

__all__: list[str] = []

Arguments = tuple[Any, ...]
Options = dict[str, Any]


class _Numbers:
    """The scalar arguments as elements, computed with in double precision."""

    def __init__(self, machine: Interpreter, func_name: str, options: Options) -> None:
        if options.get("grad_scale") is not None or options.get("found_inf") is not None:
            raise NoProof(f"{func_name} with a scale of gradients is not interpreted")
        self.machine, self.options = machine, options
        self.arithmetic: Arithmetic = machine.arithmetic
        self.double: Format = form_of(torch.float64)

    def __getitem__(self, name: str) -> Element:
        value = self.options[name]
        return self._single(value) if isinstance(value, torch.Tensor) else self._number(value)

    def _number(self, value: Any) -> Element:
        element = number_element(value)
        if element is None:
            raise NoProof(f"{type(value).__name__} is no number")
        return element

    def _single(self, tensor: torch.Tensor) -> Element:
        (element,) = self.machine.elements(self.machine.codes(tensor))
        return element

    def step(self, tensor: torch.Tensor) -> Element:
        """The number of the step, which the kernel reads in single precision."""
        return self._single(tensor)

    def minus(self, x: Element, y: Element) -> Element:
        """X - y."""
        return self.arithmetic.sub(self.double, x, y)

    def correction(self, beta: Element, t: Element) -> Element:
        """1 - beta**t."""
        return self.minus(ONE, self.arithmetic.power(self.double, beta, t))

    def is_zero(self, name: str) -> bool:
        """Whether an option is 0; it must be known."""
        element = self[name]
        if element.may_be_zero and not element.is_zero:
            raise NoProof(f"{name} may be 0 or not")
        return element.is_zero


def _same_dtype(*tensors: torch.Tensor) -> Format:
    dtypes = {tensor.dtype for tensor in tensors}
    form = format_of(tensors[0].dtype)
    if len(dtypes) != 1 or form is None:
        raise NoProof("a fused step on tensors of different dtypes")
    return form


def _decayed_gradient(arithmetic: Arithmetic, form: Format, maximize: bool, p: Element, g: Element, decay: Element
                      ) -> Element:  # fmt: skip
    """The gradient, turned round if asked, plus decay * p."""
    g = arithmetic.neg(form, g) if maximize else g
    return g if decay.is_zero else arithmetic.add(form, g, arithmetic.mul(form, p, decay, loose=True), loose=True)


def _greater(arithmetic: Arithmetic, form: Format, x: Element, y: Element) -> Element:
    """The maximum; the kernel may or may not ignore NaN."""
    return join(x, y).bare() if x.nan or y.nan else arithmetic.maximum(form, x, y)


@writer("_fused_adam_", "_fused_adamw_")
def _adam(machine: Interpreter, args: Arguments, options: Options) -> None:
    """P - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with the greatest v so far under amsgrad."""
    decoupled = "adamw" in machine.current
    numbers = _Numbers(machine, machine.current, options)
    arithmetic = machine.arithmetic
    beta1, beta2 = numbers["beta1"], numbers["beta2"]
    decays = not numbers.is_zero("weight_decay")
    for index, (p, g, m, v, t) in enumerate(zip(*args[:4], args[5], strict=True)):
        form = _same_dtype(p, g, m, v)
        step = numbers.step(t)
        size = arithmetic.div(numbers.double, numbers["lr"], numbers.correction(beta1, step))
        root = arithmetic.sqrt(numbers.double, numbers.correction(beta2, step))
        product = arithmetic.mul(numbers.double, numbers["lr"], numbers["weight_decay"])
        kept = arithmetic.operand(form, numbers.minus(ONE, product) if decays and decoupled else ONE)
        coupled = numbers["weight_decay"] if decays and not decoupled else constant(0.0)
        new1, new2 = numbers.minus(ONE, beta1), numbers.minus(ONE, beta2)

        def gradient(x: Element, y: Element, form: Format = form, coupled: Element = coupled) -> Element:
            return _decayed_gradient(arithmetic, form, bool(options["maximize"]), x, y, coupled)

        def first(x: Element, y: Element, mean: Element, form: Format = form, new: Element = new1) -> Element:
            return arithmetic.lerp(form, mean, gradient(x, y), arithmetic.operand(form, new))

        def second(x: Element, y: Element, mean: Element, form: Format = form, new: Element = new2) -> Element:
            old = arithmetic.mul(form, mean, arithmetic.operand(form, beta2), loose=True)
            return arithmetic.addcsquare(form, old, gradient(x, y), arithmetic.operand(form, new))

        def moved(x: Element, mean: Element, square: Element, form: Format = form, size: Element = size,
                  root: Element = root, kept: Element = kept) -> Element:  # fmt: skip
            below = arithmetic.div(form, arithmetic.sqrt(form, square), arithmetic.operand(form, root), loose=True)
            below = arithmetic.add(form, below, arithmetic.operand(form, numbers["eps"]), loose=True)
            by = arithmetic.neg(form, arithmetic.operand(form, size))
            return arithmetic.addcdiv(form, arithmetic.mul(form, x, kept), mean, below, by)

        codes = [machine.codes(tensor) for tensor in (p, g, m, v)]
        means = machine.apply(None, first, codes[:3])
        squares = machine.apply(None, second, [codes[0], codes[1], codes[3]])
        denominators = squares
        if options["amsgrad"]:
            greatest = args[4][index]
            denominators = machine.apply(
                None,
                lambda x, y, form=form: _greater(arithmetic, form, x, y),
                [machine.codes(greatest), squares],
            )
            machine.write(greatest, Value(denominators, p.dtype))
        machine.write(p, Value(machine.apply(None, moved, [codes[0], means, denominators]), p.dtype))
        machine.write(m, Value(means, m.dtype))
        machine.write(v, Value(squares, v.dtype))


@writer("_fused_sgd_")
def _sgd(machine: Interpreter, args: Arguments, options: Options) -> None:
    """P - lr * g, or p - lr * m with m = momentum * m + (1 - dampening) * g (m = g at first), or Nesterov's variant."""
    numbers = _Numbers(machine, machine.current, options)
    arithmetic = machine.arithmetic
    decay = constant(0.0) if numbers.is_zero("weight_decay") else numbers["weight_decay"]
    with_momentum = not numbers.is_zero("momentum")
    for index, (p, g) in enumerate(zip(*args[:2], strict=True)):
        form = _same_dtype(p, g)
        momentum = arithmetic.operand(form, numbers["momentum"])
        new = arithmetic.operand(form, numbers.minus(ONE, numbers["dampening"]))
        rate = arithmetic.neg(form, arithmetic.operand(form, numbers["lr"]))

        def gradient(x: Element, y: Element, form: Format = form) -> Element:
            return _decayed_gradient(arithmetic, form, bool(options["maximize"]), x, y, decay)

        def buffered(mean: Element, y: Element, form: Format = form, momentum: Element = momentum,
                     new: Element = new) -> Element:  # fmt: skip
            old = arithmetic.mul(form, mean, momentum, loose=True)
            return arithmetic.add(form, old, arithmetic.mul(form, y, new, loose=True), loose=True)

        def ahead(y: Element, mean: Element, form: Format = form, momentum: Element = momentum) -> Element:
            return arithmetic.add(form, y, arithmetic.mul(form, mean, momentum, loose=True), loose=True)

        def moved(x: Element, y: Element, form: Format = form, rate: Element = rate) -> Element:
            return arithmetic.add_scaled(form, x, y, rate)

        codes = machine.codes(p)
        used = machine.apply(None, gradient, [codes, machine.codes(g)])
        if with_momentum:
            buffer = args[2][index]
            _same_dtype(p, buffer)
            first = bool(options["is_first_step"])
            means = used if first else machine.apply(None, buffered, [machine.codes(buffer), used])
            used = machine.apply(None, ahead, [used, means]) if options["nesterov"] else means
            machine.write(buffer, Value(means, p.dtype))
        machine.write(p, Value(machine.apply(None, moved, [codes, used]), p.dtype))


@writer("_fused_adagrad_")
def _adagrad(machine: Interpreter, args: Arguments, options: Options) -> None:
    """P - lr / (1 + (t - 1) * decay) * g / (sqrt(s) + eps), where s is the sum of the squares of g."""
    numbers = _Numbers(machine, machine.current, options)
    arithmetic, double = machine.arithmetic, numbers.double
    decay = constant(0.0) if numbers.is_zero("weight_decay") else numbers["weight_decay"]
    for p, g, s, t in zip(*args[:4], strict=True):
        form = _same_dtype(p, g, s)
        slower = arithmetic.mul(double, numbers.minus(numbers.step(t), ONE), numbers["lr_decay"])
        rate = arithmetic.neg(double, arithmetic.div(double, numbers["lr"], arithmetic.add(double, ONE, slower)))

        def gradient(x: Element, y: Element, form: Format = form) -> Element:
            return _decayed_gradient(arithmetic, form, bool(options["maximize"]), x, y, decay)

        def summed(total: Element, y: Element, form: Format = form) -> Element:
            return arithmetic.addcsquare(form, total, y, ONE)

        def moved(x: Element, y: Element, total: Element, form: Format = form, rate: Element = rate) -> Element:
            root, eps = arithmetic.sqrt(form, total), arithmetic.operand(form, numbers["eps"])
            below = arithmetic.add(form, root, eps, loose=True)
            return arithmetic.addcdiv(form, x, y, below, arithmetic.operand(form, rate))

        codes = machine.codes(p)
        used = machine.apply(None, gradient, [codes, machine.codes(g)])
        sums = machine.apply(None, summed, [machine.codes(s), used])
        machine.write(p, Value(machine.apply(None, moved, [codes, used, sums]), p.dtype))
        machine.write(s, Value(sums, s.dtype))
