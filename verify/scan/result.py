"""What a scan found, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from rich.console import RenderableType

from theorems.hypotheses import Evidence, Status
from verify.shown import Shown

__all__ = [
    "Advice",
    "Chance",
    "Consequence",
    "DeadUnit",
    "Extent",
    "LayerScan",
    "Probability",
    "Scan",
    "printable",
]

Position = tuple[int, ...]


def printable(text: str) -> str:
    """A name without what would steer a terminal: other characters are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Extent(Enum):
    """On which inputs a dead unit is proved to be dead; each but the last includes the data."""

    EVERYWHERE = "every input"
    NONNEGATIVE = "every non-negative input"
    BOX = "the box of the data"
    DATA = "the data"


@dataclass(frozen=True)
class DeadUnit:
    """A unit whose pre-activation is proved to be `<= 0` at every input of the data.

    Symbols: position = its place in the layer's output, (neuron,) or (channel, row, column); extent = the largest set
    of inputs on which it is shown to be dead; structural = dead by signs alone above dead first-layer neurons (math
    Lemma 3; in the first layer: dead).
    """

    position: Position
    extent: Extent
    structural: bool


@dataclass(frozen=True)
class LayerScan:
    """One ReLU of the network: every unit is dead, alive or undecided, and each of these is proved or said.

    Symbols: number = place among the ReLUs, from 1; name = module that it is or in which it is called; own = whether it
    is a module of its own; after = module that computes its pre-activations ("" if several do); shape = shape of its
    output; channel_axis = axis of `shape` that counts neurons or channels.
    """

    number: int
    name: str
    own: bool
    after: str
    shape: tuple[int, ...]
    channel_axis: int
    alive: int
    dead: tuple[DeadUnit, ...]
    undecided: tuple[Position, ...]

    @property
    def units(self) -> int:
        """Number of units; those of a convolution are counted by channel and position."""
        return self.alive + len(self.dead) + len(self.undecided)

    @property
    def is_dead(self) -> bool:
        """Whether every unit is proved dead."""
        return len(self.dead) == self.units

    @property
    def may_be_dead(self) -> bool:
        """Whether no unit is alive, and some are undecided."""
        return not self.alive and bool(self.undecided)

    @property
    def convolutional(self) -> bool:
        """Whether units have a channel and a position."""
        return len(self.shape) > 1

    @property
    def channels(self) -> int:
        """Number of neurons or channels."""
        return self.shape[self.channel_axis] if self.shape else 1

    @property
    def dead_channels(self) -> tuple[int, ...]:
        """Channels (or neurons) that are dead at every position."""
        per_channel = self.units // max(self.channels, 1)
        counts: dict[int, int] = {}
        for unit in self.dead:
            channel = unit.position[self.channel_axis]
            counts[channel] = counts.get(channel, 0) + 1
        return tuple(channel for channel, count in sorted(counts.items()) if count == per_channel)

    @property
    def title(self) -> str:
        """What tables print."""
        if self.own:
            return printable(self.name) or "the module itself"
        return f"relu in {printable(self.name)}" if self.name else "relu in the module itself"


@dataclass(frozen=True)
class Consequence:
    """What is proved of every network that training can reach from this one with a fresh optimizer.

    Training is by gradients of the mean squared error on minibatches of the data (math §1), in any order.

    Symbols: risk = lower bound of the risk at every later step; constant = whether the output is constant on the data
    for ever; costs = whether that risk is above the noise floor; misses = whether it is known to be above the optimal
    risk, so that no global minimizer is reached; optimizers = the nine rules of claim C4 for which it holds; asked =
    what is known for the optimizer that was named.
    """

    what: str
    theorem: str
    risk: Fraction
    constant: bool
    costs: bool
    misses: bool
    optimizers: tuple[str, ...]
    asked: tuple[str, Status, str] | None


@dataclass(frozen=True)
class Chance:
    """A probability between two ends; `lo` and `hi` are safe ends, with the evidence for both."""

    what: str
    lo: Fraction
    hi: Fraction
    evidence: Evidence
    why: str


@dataclass(frozen=True)
class Probability:
    """How likely what was found is under an initialization."""

    initialization: str
    p_dead: Chance
    found: tuple[Chance, ...]


@dataclass(frozen=True)
class Advice:
    """Something that helps, with its number from the library."""

    what: str
    why: str


@dataclass(frozen=True)
class Scan(Shown):
    """The answer of `nonconv scan`.

    Symbols: target = name of the module; seed = seed of torch before it was made, None if it was given; parameters =
    number of parameters; dtypes = their formats; inputs = rows of the data; architecture = widths of a plain
    multilayer perceptron, None with the reason in `why_not_plain`; looked_at = rows on which the decision needed the
    network; exactly = decisions that took exact arithmetic; notes = what was done to the module, in sentences.
    """

    target: str
    seed: int | None
    parameters: int
    dtypes: tuple[str, ...]
    data: str
    inputs: int
    input_shape: tuple[int, ...]
    layers: tuple[LayerScan, ...]
    architecture: tuple[int, ...] | None
    why_not_plain: str
    consequences: tuple[Consequence, ...]
    why_no_consequences: str
    probability: Probability | None
    why_no_probability: str
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]
    looked_at: int
    exactly: int
    seconds: float

    @property
    def dead_layers(self) -> tuple[LayerScan, ...]:
        """The layers that are proved dead."""
        return tuple(layer for layer in self.layers if layer.is_dead)

    @property
    def has_dead_layer(self) -> bool:
        """Whether some layer is proved dead: the exit status of the command."""
        return bool(self.dead_layers)

    def renderable(self) -> RenderableType:
        """Return what a terminal shows."""
        from verify.scan.shown import scan_text

        return scan_text(self)

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints, before it becomes text."""
        from verify.scan.shown import scan_json

        return scan_json(self)
