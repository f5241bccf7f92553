"""Records the operations that torch carries out on the rows of a batch, as nodes of a program.

Tensors that depend on the input are known by their identity; everything else is a parameter, a constant, or refused.
Where entries are only moved, the same operation is done once more to their numbers, which shows where each one goes,
and that rows stay apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from theorems.errors import InvalidInput
from verify.scan.program import Affine, Input, Largest, Mean, Move, Node, Program, Relu, Scale, Sum, Windows

__all__ = ["BATCH", "Recorder"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BATCH = 7
"""Rows of a trial run: a prime that is rarely a width, so that the batch is told from other dimensions."""

_UNIT = 2.0**-53

_OTHER_ACTIVATIONS = {
    "gelu": "GELU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "elu": "ELU (or SELU, CELU)",
    "celu": "CELU",
    "selu": "SELU",
    "leaky_relu": "LeakyReLU",
    "rrelu_with_noise": "RReLU",
    "_prelu_kernel": "PReLU",
    "prelu": "PReLU",
    "softplus": "Softplus",
    "hardtanh": "Hardtanh (or ReLU6)",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "mish": "Mish",
    "glu": "GLU",
    "log_sigmoid_forward": "LogSigmoid",
    "hardshrink": "Hardshrink",
    "softshrink": "Softshrink",
    "_softmax": "Softmax",
    "_log_softmax": "LogSoftmax",
    "native_layer_norm": "LayerNorm",
    "native_group_norm": "GroupNorm",
    "sin": "a sine",
    "cos": "a cosine",
    "exp": "an exponential",
    "abs": "an absolute value",
    "pow": "a power",
    "sqrt": "a square root",
    "bmm": "a product of two values (attention)",
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
}
_LINKS = {"_softmax": "Softmax", "_log_softmax": "LogSoftmax", "sigmoid": "Sigmoid"}
_RANDOM = {
    "bernoulli",
    "native_dropout",
    "rand",
    "randn",
    "rand_like",
    "randn_like",
    "normal",
    "uniform",
    "multinomial",
}
_MOVES = {
    *("view", "_unsafe_view", "t", "transpose", "permute", "unsqueeze", "squeeze", "expand", "reshape", "flatten"),
    *(
        "clone",
        "detach",
        "alias",
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "flip",
        "roll",
        "contiguous",
    ),
    *("constant_pad_nd", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unbind", "narrow", "im2col", "cat"),
    *("lift_fresh", "_reshape_alias", "as_strided", "movedim", "index_select", "repeat", "stack", "_to_copy"),
}
_ON_PARAMETERS = _MOVES | {"empty", "zeros", "ones", "full", "arange", "scalar_tensor", "zeros_like", "ones_like"}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation; keeps which tensors depend on the input, and as which node."""

    def __init__(
        self, module: torch.nn.Module, inputs: torch.Tensor, name: str, numbers: dict[tuple[object, ...], Floats]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module, self.name = module, name
        self.numbers = numbers  # of parameters in float64, shared by the runs
        self.nodes: list[Node] = [Input(inputs.numel() // BATCH)]
        self.sizes: list[int] = [inputs.numel() // BATCH]
        self.tracked: dict[int, int] = {id(inputs): 0}
        self.kept: list[torch.Tensor] = [inputs]  # so that identities are not used again
        self.stale: set[int] = set()
        self.links: dict[int, tuple[str, int]] = {}  # results of a softmax and the like, and what it was applied to
        self.places: list[tuple[str, torch.nn.Module]] = [("", module)]
        self.relus = 0
        self.storages = {
            tensor.untyped_storage().data_ptr(): number
            for number, tensor in enumerate([*module.parameters(), *module.buffers()])
            if tensor.numel()
        }

    @contextmanager
    def named_modules(self) -> Iterator[None]:
        """Know, while the module runs, in which of its parts an operation takes place."""
        handles = []
        for label, part in self.module.named_modules():
            if part is not self.module and not isinstance(part, torch.jit.ScriptModule):
                handles.append(part.register_forward_pre_hook(self._entering(label, part), prepend=True))
                handles.append(part.register_forward_hook(self._leaving(), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, label: str, part: torch.nn.Module) -> Callable[..., None]:
        return lambda *_: self.places.append((label, part))

    def _leaving(self) -> Callable[..., None]:
        def leave(*_: object) -> None:
            self.places.pop()

        return leave

    @property
    def _place(self) -> str:
        return self.places[-1][0]

    def program(self, returned: torch.Tensor) -> Program:
        """What was recorded, up to the tensor that the module returned."""
        link = None
        if id(returned) in self.links:
            link, output = self.links[id(returned)]
        elif id(returned) in self.tracked:
            output = self._node(returned)
        else:
            raise self._refusal("returns something that torch did not compute from the input")
        if returned.dim() == 0 or returned.shape[0] % BATCH:
            raise self._refusal(f"returns shape {tuple(returned.shape)} for {BATCH} inputs")
        return Program(tuple(self.nodes), tuple(self.sizes), output, link)

    def _refusal(self, what: str) -> InvalidInput:
        where = f" in layer {self._place!r}" if self._place else ""
        return InvalidInput(
            f"{self.name} {what}{where}; expected linear layers, convolutions, ReLU, pooling, sums and rearrangements "
            "that treat every row alone"
        )

    # --- one operation ---------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operands = [each for each in _flat([*args, *kwargs.values()]) if isinstance(each, torch.Tensor)]
        label = func.overloadpacket.__name__
        linked = [each for each in operands if id(each) in self.links]
        if not linked and not any(id(each) in self.tracked for each in operands):
            self._check_constant(label, operands)
            made = func(*args, **kwargs)
            self._check_copied(label, operands, made)
            return made
        if "out" in kwargs:
            raise self._refusal(f"writes into a tensor that is there ({label}, out=)")
        before = [(each, each.shape) for each in operands]
        made = func(*args, **kwargs)
        if linked:
            self._after_link(label, linked[0], made)
            return made
        for tensor, shape in before:
            if tensor.shape != shape:
                raise self._refusal(f"changes the shape of a tensor in place ({label})")
        in_place = label.endswith("_") and not label.endswith("__")
        self._see(func, label.rstrip("_") if in_place else label, args, kwargs, made)
        if in_place:
            self._overwritten(made)
        return made

    def _overwritten(self, tensor: torch.Tensor) -> None:
        """Other tensors that show the same memory have changed as well: they must not be used again."""
        memory = tensor.untyped_storage().data_ptr()
        for other in self.kept:
            if other is not tensor and other.untyped_storage().data_ptr() == memory:
                self.stale.add(id(other))
        self.stale.discard(id(tensor))

    def _check_constant(self, label: str, operands: Sequence[torch.Tensor]) -> None:
        if label in _RANDOM or label.rstrip("_") in _RANDOM:
            raise self._refusal(f"draws random numbers ({label}) in evaluation mode")
        if operands and label not in _ON_PARAMETERS and label != "_local_scalar_dense":
            raise self._refusal(
                f"computes numbers ({label}) from parameters alone, as weight normalization does, or from values that "
                "left torch and came back"
            )

    def _check_copied(self, label: str, operands: Sequence[torch.Tensor], made: Any) -> None:
        """A copy in another format must hold the same numbers, or weights would be rounded ones."""
        copied = label == "_to_copy" and isinstance(made, torch.Tensor) and made.is_floating_point()
        if copied and not torch.equal(made.to(torch.float64), operands[0].to(torch.float64)):
            raise self._refusal(f"rounds its parameters to {made.dtype}")

    def _after_link(self, label: str, linked: torch.Tensor, made: Any) -> None:
        """After a softmax or the like nothing may follow but rearrangements of what is returned."""
        name, node = self.links[id(linked)]
        if label not in _MOVES or not isinstance(made, torch.Tensor):
            raise self._other(name)
        self.links[id(made)] = (name, node)
        self.kept.append(made)

    def _other(self, name: str) -> InvalidInput:
        where = f" in layer {self._place!r}" if self._place else ""
        return InvalidInput(f"{self.name}: the theorem speaks of ReLU; found {name}{where}")

    def _node(self, tensor: torch.Tensor) -> int:
        if id(tensor) in self.stale:
            raise self._refusal("uses a tensor again that was overwritten through another view of it")
        return self.tracked[id(tensor)]

    def _is_tracked(self, value: object) -> bool:
        return isinstance(value, torch.Tensor) and id(value) in self.tracked

    def _add(self, node: Node, made: torch.Tensor) -> None:
        if made.dim() == 0 or made.shape[0] % BATCH:
            raise self._refusal("mixes the rows of a batch")
        self.nodes.append(node)
        self.sizes.append(made.numel() // BATCH)
        self.tracked[id(made)] = len(self.nodes) - 1
        self.stale.discard(id(made))
        self.kept.append(made)

    def _see(self, func: Any, label: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> None:
        handler = _HANDLERS.get(label)
        if label in _LINKS and isinstance(made, torch.Tensor) and self._is_tracked(args[0]):
            self.links[id(made)] = (_LINKS[label], self._node(args[0]))
            self.kept.append(made)
        elif label in _MOVES:
            self._moved(func, label, args, kwargs, made)
        elif handler is not None:
            handler(self, args, kwargs, made)
        elif label in _OTHER_ACTIVATIONS:
            raise self._other(_OTHER_ACTIVATIONS[label])
        elif label in _RANDOM:
            raise self._refusal(f"draws random numbers ({label}) in evaluation mode")
        elif label == "_local_scalar_dense":
            raise self._refusal("lets what it does depend on computed values")
        else:
            raise self._refusal(f"uses the operation {label}")

    def _moved(self, func: Any, label: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> None:
        """Find out where entries went by doing the same to their numbers."""
        sources: list[int] = []
        offset = 1

        def numbered(value: Any) -> Any:
            nonlocal offset
            if isinstance(value, list | tuple):
                return type(value)(numbered(each) for each in value)
            if not isinstance(value, torch.Tensor):
                return value
            if not self._is_tracked(value):
                if label == "index_select" and not value.is_floating_point():
                    return value.cpu()
                raise self._refusal(f"joins computed values with constants ({label})")
            node = self._node(value)
            size = self.sizes[node]
            sources.append(node)
            rows = torch.arange(BATCH, dtype=torch.float64)[:, None] * 2.0**32
            numbers = rows + torch.arange(offset, offset + size, dtype=torch.float64)
            offset += size
            return numbers.reshape(value.shape)

        if label == "_to_copy" and not (isinstance(made, torch.Tensor) and made.is_floating_point()):
            raise self._refusal("converts computed values to whole numbers")
        if label == "as_strided" and not args[0].is_contiguous():
            raise self._refusal("uses the operation as_strided")
        if label == "constant_pad_nd" and len(args) > 2 and args[2] != 0:
            raise self._refusal(f"pads with {args[2]}")
        given = numbered(args)
        options = {} if label in ("_to_copy", "clone") else numbered(kwargs)
        with _Outside():
            results = [given[0]] if label in ("_to_copy", "clone") else _flat([func(*given, **options)])
        for result, tensor in zip(results, _flat([made]), strict=True):
            self._add(Move(tuple(sources), self._places_of(result)), tensor)

    def _places_of(self, result: torch.Tensor) -> Ints:
        if result.dim() == 0 or result.shape[0] % BATCH:
            raise self._refusal("mixes the rows of a batch")
        numbers = result.reshape(BATCH, -1).numpy()
        filled = numbers == 0
        rows, places = np.divmod(numbers, 2.0**32)
        expected = np.arange(BATCH)[:, None] * np.ones_like(rows)
        if not np.array_equal(rows[~filled], expected[~filled]) or (places != places[0]).any():
            raise self._refusal("mixes the rows of a batch")
        index: Ints = places[0].astype(np.int64) - 1
        return index

    # --- operations with values ------------------------------------------------------------------------------

    def _values(self, tensor: torch.Tensor) -> Floats:
        """The exact numbers of a parameter."""
        memory = tensor.untyped_storage().data_ptr()
        key = (memory, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype, tensor._version)
        with _Outside():
            if memory not in self.storages:  # memory of what is no parameter may be used again
                return _read(tensor)
            if key not in self.numbers:
                self.numbers[key] = np.ascontiguousarray(_read(tensor))
        return self.numbers[key]

    def _parameter(self, *tensors: torch.Tensor | None) -> tuple[int, ...]:
        """Numbers of the module's parameters that these tensors show; a negative number where it is none of them."""
        given = [each for each in tensors if each is not None and each.numel()]
        return tuple(self.storages.get(each.untyped_storage().data_ptr(), -1 - len(self.nodes)) for each in given)

    def _linear(
        self, source: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, made: torch.Tensor
    ) -> None:
        """`source weight + bias`, weight (in, out)."""
        if not self._is_tracked(source) or self._is_tracked(weight) or self._is_tracked(bias):
            raise self._other("a product of two computed values (attention)")
        if bias is not None and bias.dim() != 1:
            raise self._refusal("adds a matrix to a linear map")
        node = self._node(source)
        with _Outside():
            matrix = self._values(weight.t())
        offset = None if bias is None else np.broadcast_to(self._values(bias), (len(matrix),)).copy()
        folded = source.shape[0] // BATCH
        parameters = self._parameter(weight, bias)
        if folded == 1:
            self._add(Affine((node,), matrix, offset, self._place, parameters), made)
            return
        index = np.arange(self.sizes[node]).reshape(1, folded, -1)
        self._add(Windows((node,), index, matrix[None], offset, True, self._place, parameters), made)

    def _as_addmm(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        if any(value != 1 for value in kwargs.values()):
            raise self._refusal("scales a linear map")
        self._linear(args[1], args[2], args[0], made)

    def _as_mm(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        self._linear(args[0], args[1], None, made)

    def _as_linear(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        if args[0].dim() != 2:
            raise self._refusal("uses the operation linear on several dimensions")
        with _Outside():
            weight = args[1].t()
        self._linear(args[0], weight, args[2] if len(args) > 2 else kwargs.get("bias"), made)

    def _as_convolution(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        source, weight, bias, stride, padding, dilation, transposed, _, groups = args
        if transposed or not self._is_tracked(source) or self._is_tracked(weight) or self._is_tracked(bias):
            raise self._refusal("uses a transposed convolution, or one with computed weights")
        node = self._one_row_each(source)
        row = source.shape[1:]
        spatial = len(row) - 1
        numbers = np.arange(self.sizes[node]).reshape(tuple(row))
        windows = _windows(numbers, tuple(weight.shape[2:]), *(_each(v, spatial) for v in (stride, padding, dilation)))
        # (channels, positions, kernel) -> (groups, positions, channels of a group * kernel)
        channels, positions, kernel = windows.shape
        grouped = windows.reshape(groups, channels // groups, positions, kernel).transpose(0, 2, 1, 3)
        index = np.ascontiguousarray(grouped).reshape(groups, positions, -1)
        values = self._values(weight)
        matrix = np.ascontiguousarray(values.reshape(groups, values.shape[0] // groups, -1))
        offset = None if bias is None else self._values(bias)
        parameters = self._parameter(weight, bias)
        self._add(Windows((node,), index, matrix, offset, False, self._place, parameters), made)

    def _one_row_each(self, source: torch.Tensor) -> int:
        if source.shape[0] != BATCH:
            raise self._refusal("folds other dimensions into the batch")
        return self._node(source)

    def _as_relu(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        self.relus += 1
        folded = (made.shape[0] // BATCH,) if made.shape[0] != BATCH else ()
        own = isinstance(self.places[-1][1], torch.nn.ReLU | torch.nn.Threshold)
        shape = (*folded, *made.shape[1:])
        self._add(Relu((self._node(args[0]),), self.relus, self._place, own, shape), made)

    def _as_clamp(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        high = kwargs.get("max", args[2] if len(args) > 2 else None)
        if isinstance(low, int | float) and low == 0 and high is None:
            self._as_relu(args[:1], {}, made)
        else:
            raise self._other(f"a clamp from {low} to {high}")

    def _as_threshold(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        if args[1] != 0 or args[2] != 0:
            raise self._other(f"Threshold({args[1]}, {args[2]})")
        self._as_relu(args[:1], {}, made)

    def _number(self, value: Any, made: torch.Tensor) -> Floats:
        """A constant operand, spread over the row of the result."""
        if isinstance(value, torch.Tensor):
            if value.dim() == made.dim() and value.shape[0] not in (1,):
                raise self._refusal("combines a batch with a constant batch")
            values = self._values(value)
        else:
            if isinstance(value, bool | complex) or not math.isfinite(value):
                raise self._refusal(f"uses the constant {value!r}")
            wide = made.dtype == torch.float64  # torch computes with a scalar in float32 for narrower formats
            values = np.asarray(float(value) if wide else float(np.float32(value)))
        folded = made.shape[0] // BATCH
        row: Floats = np.broadcast_to(values, (folded, *made.shape[1:])).reshape(-1).astype(np.float64)
        return row

    def _scaled(self, source: torch.Tensor, made: torch.Tensor, factor: Floats, shift: Floats, error: Floats) -> None:
        if source.numel() != made.numel():
            raise self._refusal("spreads computed values over more entries")
        node = self._node(source)
        self._add(Scale((node,), factor, shift, error, np.zeros_like(shift)), made)

    def _plus(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor, sign: int) -> None:
        left, right = args[:2]
        if (args[2] if len(args) > 2 else kwargs.get("alpha", 1)) != 1:
            raise self._refusal("adds a multiple")
        ones = np.ones(made.numel() // BATCH)
        if self._is_tracked(left) and self._is_tracked(right):
            if left.shape != made.shape or right.shape != made.shape:
                raise self._refusal("spreads computed values over more entries")
            self._add(Sum((self._node(left), self._node(right)), sign), made)
        elif self._is_tracked(left):
            self._scaled(left, made, ones, sign * self._number(right, made), 0 * ones)
        else:
            self._scaled(right, made, sign * ones, self._number(left, made), 0 * ones)

    def _as_add(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        self._plus(args, kwargs, made, 1)

    def _as_sub(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        self._plus(args, kwargs, made, -1)

    def _as_rsub(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        self._plus((args[1], args[0], *args[2:]), kwargs, made, -1)

    def _as_mul(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        tracked = [each for each in args if self._is_tracked(each)]
        if len(tracked) != 1:
            raise self._other("a product of two computed values (a gate)")
        factor = self._number(args[1] if self._is_tracked(args[0]) else args[0], made)
        self._scaled(tracked[0], made, factor, np.zeros_like(factor), np.zeros_like(factor))

    def _as_div(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        if kwargs or not self._is_tracked(args[0]) or self._is_tracked(args[1]):
            raise self._other("a quotient of computed values")
        divisor = self._number(args[1], made)
        if not (np.abs(divisor) > 2.0**-900).all():
            raise self._refusal("divides by 0, or nearly")
        factor = 1.0 / divisor
        exact = np.abs(np.frexp(divisor)[0]) == 0.5
        error = np.where(exact, 0.0, np.abs(factor) * 2 * _UNIT)
        self._scaled(args[0], made, factor, np.zeros_like(factor), error)

    def _as_neg(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        ones = np.ones(made.numel() // BATCH)
        self._scaled(args[0], made, -ones, 0 * ones, 0 * ones)

    def _as_batch_norm(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> None:
        """Evaluation mode: `(x - mean) / sqrt(var + eps) * weight + bias`, channel by channel."""
        source, weight, bias, mean, variance = args[:5]
        training = bool(args[5]) if len(args) > 7 else False
        if training or mean is None or variance is None:
            raise self._refusal("normalizes by the statistics of the batch")
        node, tensor = self._one_row_each(source), made[0]
        places = int(np.prod(source.shape[2:], dtype=np.int64))
        m, v = self._values(mean), self._values(variance)
        if not (v >= 0).all():
            raise self._refusal("has a negative running variance")
        w = np.ones_like(m) if weight is None else self._values(weight)
        b = np.zeros_like(m) if bias is None else self._values(bias)
        root = np.sqrt(v + float(args[-1]))
        if not (root > 2.0**-400).all() or max(np.abs(each).max(initial=0.0) for each in (m, v, w, b)) > 2.0**400:
            raise self._refusal("normalizes by numbers that are too small or too large")
        factor = w / root
        factor_error = 8 * _UNIT * np.abs(factor)  # three roundings of a half unit each, and the sum under the root
        shift = b - m * factor
        shift_error = 8 * _UNIT * (np.abs(b) + np.abs(m * factor)) + np.abs(m) * factor_error + 2.0**-1000
        spread = [np.repeat(each, places) for each in (factor, shift, factor_error, shift_error)]
        self._add(Scale((node,), *spread), tensor)
        for statistics in made[1:]:
            self.kept.append(statistics)

    def _as_max_pool2d(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> None:
        source, kernel = args[0], _each(args[1], 2)
        stride = _each(args[2], 2) if len(args) > 2 and args[2] else kernel
        padding = _each(args[3] if len(args) > 3 else 0, 2)
        dilation = _each(args[4] if len(args) > 4 else 1, 2)
        if len(args) > 5 and args[5]:
            raise self._refusal("pools with ceil_mode")
        node = self._one_row_each(source)
        numbers = np.arange(self.sizes[node]).reshape(tuple(source.shape[1:]))
        index = _windows(numbers, kernel, stride, padding, dilation)
        self._add(Largest((node,), index.reshape(-1, index.shape[-1])), made[0])
        self.kept.append(made[1])

    def _as_avg_pool2d(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        source, kernel = args[0], _each(args[1], 2)
        stride = _each(args[2], 2) if len(args) > 2 and args[2] else kernel
        padding = _each(args[3] if len(args) > 3 else 0, 2)
        if len(args) > 4 and (args[4] or (len(args) > 6 and args[6])):
            raise self._refusal("pools with ceil_mode or a divisor of its own")
        counted = args[5] if len(args) > 5 else True
        node = self._one_row_each(source)
        numbers = np.arange(self.sizes[node]).reshape(tuple(source.shape[1:]))
        index = _windows(numbers, kernel, stride, padding, (1, 1)).reshape(-1, math.prod(kernel))
        within = np.full(len(index), index.shape[1]) if counted else (index >= 0).sum(axis=1)
        self._add(Mean((node,), index, within.astype(np.int64)), made)

    def _as_adaptive_avg_pool2d(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        node = self._one_row_each(args[0])
        height, width = args[0].shape[-2:]
        numbers = np.arange(self.sizes[node]).reshape(-1, height, width)
        down, across = (_adaptive(size, out) for size, out in zip((height, width), made.shape[-2:], strict=True))
        parts = [n[a:b, c:d].reshape(-1) for n in numbers for a, b in down for c, d in across]
        longest = max(map(len, parts))
        index = np.array([np.pad(part, (0, longest - len(part)), constant_values=-1) for part in parts])
        self._add(Mean((node,), index, (index >= 0).sum(axis=1).astype(np.int64)), made)

    def _as_mean(self, args: tuple[Any, ...], kwargs: dict[str, Any], made: torch.Tensor) -> None:
        source = args[0]
        node = self._one_row_each(source)
        if len(args) < 2 or not args[1]:
            raise self._refusal("mixes the rows of a batch")
        dims = sorted({d % source.dim() for d in (args[1] if isinstance(args[1], list | tuple) else [args[1]])})
        if 0 in dims:
            raise self._refusal("mixes the rows of a batch")
        numbers = np.arange(self.sizes[node]).reshape(tuple(source.shape[1:]))
        index = np.moveaxis(numbers, [d - 1 for d in dims], range(-len(dims), 0))
        index = index.reshape(-1, math.prod(source.shape[d] for d in dims))
        self._add(Mean((node,), index, np.full(len(index), index.shape[1])), made)


def _read(tensor: torch.Tensor) -> Floats:
    values: Floats = tensor.detach().cpu().to(torch.float64).numpy()
    return values


class _Outside:
    """Operations in this block are ours, not the module's: they are not recorded."""

    def __enter__(self) -> None:
        self._guard = torch.utils._python_dispatch._disable_current_modes()
        self._guard.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._guard.__exit__(*error)


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, list | tuple) else [value]
    return found


def _each(value: Any, count: int) -> tuple[int, ...]:
    """One number for all dimensions, or one for each."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * count if len(values) == 1 else values


def _windows(
    numbers: Ints, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Ints:
    """Places of windows, (channels, positions, kernel entries), -1 in the padding, from numbers (channels, ...)."""
    padded = np.pad(numbers, [(0, 0), *((p, p) for p in padding)], constant_values=-1)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    axes = tuple(range(1, numbers.ndim))
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
    steps = (slice(None), *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))
    chosen = view[steps]
    return np.ascontiguousarray(chosen).reshape(len(numbers), -1, math.prod(kernel))


def _adaptive(size: int, out: int) -> list[tuple[int, int]]:
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


_HANDLERS: dict[str, Callable[[Recorder, tuple[Any, ...], dict[str, Any], Any], None]] = {
    "addmm": Recorder._as_addmm,
    "mm": Recorder._as_mm,
    "linear": Recorder._as_linear,
    "convolution": Recorder._as_convolution,
    "relu": Recorder._as_relu,
    "clamp": Recorder._as_clamp,
    "clamp_min": Recorder._as_clamp,
    "threshold": Recorder._as_threshold,
    "add": Recorder._as_add,
    "sub": Recorder._as_sub,
    "rsub": Recorder._as_rsub,
    "mul": Recorder._as_mul,
    "div": Recorder._as_div,
    "neg": Recorder._as_neg,
    "native_batch_norm": Recorder._as_batch_norm,
    "_native_batch_norm_legit_no_training": Recorder._as_batch_norm,
    "max_pool2d_with_indices": Recorder._as_max_pool2d,
    "avg_pool2d": Recorder._as_avg_pool2d,
    "_adaptive_avg_pool2d": Recorder._as_adaptive_avg_pool2d,
    "mean": Recorder._as_mean,
}
