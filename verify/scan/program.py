"""A network as a short program on the rows of a batch: what `verify.scan.trace` records and the decisions read.

Every value of a program is a vector for each row of the batch: the entries of a tensor in their order in memory. So a
convolution is a gather of windows and a product, and whatever only moves entries is one list of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Affine",
    "Input",
    "Largest",
    "Mean",
    "Move",
    "Node",
    "Program",
    "Relu",
    "Scale",
    "Sum",
    "Windows",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Input:
    """The row itself, of `size` entries."""

    size: int
    sources: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Move:
    """Entries of the sources, one after another, at the places `index`; -1 stands for 0."""

    sources: tuple[int, ...]
    index: Ints


@dataclass(frozen=True, eq=False)
class Affine:
    """`weight h + bias`, weight (out, in), bias (out,); exact float64 values of the module's parameters.

    place: name of the module that computes it; parameters: identities of the tensors, to see what is shared.
    """

    sources: tuple[int, ...]
    weight: Floats
    bias: Floats | None
    place: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Windows:
    """A convolution, or a linear map at several positions: the same weights on several parts of the row.

    Symbols: index (groups, positions, in) = where the parts lie, -1 for the padding by 0; weight (groups, out, in);
    bias (groups * out,). The outputs are ordered by channel and position, with `channels_last` by position and channel.
    """

    sources: tuple[int, ...]
    index: Ints
    weight: Floats
    bias: Floats | None
    channels_last: bool
    place: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Relu:
    """`max(z, 0)`, entry by entry.

    Symbols: number = its place among the ReLUs, from 1; place = name of the module that it is or in which it is called;
    own = whether it is a module of its own; shape = shape of its tensor without the batch.
    """

    sources: tuple[int, ...]
    number: int
    place: str
    own: bool
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """The first source plus or minus (`sign`) the second."""

    sources: tuple[int, ...]
    sign: int


@dataclass(frozen=True, eq=False)
class Scale:
    """`factor * h + shift`, entry by entry; both known up to the given errors (0: they are exactly these floats)."""

    sources: tuple[int, ...]
    factor: Floats
    shift: Floats
    factor_error: Floats
    shift_error: Floats

    @property
    def exact(self) -> bool:
        """Whether the factor and the shift are exactly these floats."""
        return not self.factor_error.any() and not self.shift_error.any()


@dataclass(frozen=True, eq=False)
class Largest:
    """The largest of the entries in each part, `index` (out, in); -1 stands for nothing."""

    sources: tuple[int, ...]
    index: Ints


@dataclass(frozen=True, eq=False)
class Mean:
    """The sum of the entries in each part, `index` (out, in), -1 for nothing, divided by whole numbers (out,)."""

    sources: tuple[int, ...]
    index: Ints
    divisor: Ints


Node = Input | Move | Affine | Windows | Relu | Sum | Scale | Largest | Mean


@dataclass(frozen=True, eq=False)
class Program:
    """Nodes in the order of evaluation; sources are positions in `nodes`, and node 0 is the input.

    sizes: entries of each node's vector; output: the node that is returned; link: what is applied to it in the end
    (such as Softmax), None for nothing.
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    output: int
    link: str | None

    @property
    def relus(self) -> tuple[int, ...]:
        """Positions of the ReLUs."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node, Relu))

    def plain_layers(self) -> tuple[Affine, ...] | str:
        """The affine maps of a plain multilayer perceptron, or the reason why the network is not one.

        Plain: affine maps with biases, a ReLU after each but the last, nothing else, no parameter used twice.
        """
        layers: list[Affine] = []
        expected: type[Affine] | type[Relu] = Affine
        if self.link is not None:
            return f"it ends with {self.link}"
        for position, node in enumerate(self.nodes[1:], start=1):
            keeps_order = isinstance(node, Move) and np.array_equal(node.index, np.arange(self.sizes[position - 1]))
            if node.sources != (position - 1,):
                return "it branches"
            if keeps_order:
                continue
            if not isinstance(node, expected):
                return f"it contains {_words(node, expected)}"
            if isinstance(node, Affine):
                if node.bias is None:
                    return f"layer {node.place!r} has no bias"
                layers.append(node)
            expected = Relu if expected is Affine else Affine
        if self.output != len(self.nodes) - 1 or expected is Affine:
            return "it does not end with a linear layer"
        used = [each for layer in layers for each in layer.parameters]
        return tuple(layers) if len(set(used)) == len(used) else "a parameter is used twice"


def _words(node: Node, expected: type[Affine] | type[Relu]) -> str:
    match node:
        case Affine():
            return f"linear layer {node.place!r} right after another"
        case Windows():
            return f"layer {node.place!r}, which is applied to several parts of its input"
        case Relu():
            return "a ReLU that no linear layer precedes"
        case Scale():
            return "a normalization or scaling of its values"
        case Sum():
            return "a sum of two values (a residual connection)"
        case Largest() | Mean():
            return "pooling"
    return "a rearrangement of values"
