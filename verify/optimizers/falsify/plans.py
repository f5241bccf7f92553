"""Plans: a few choices from which a whole gradient history follows; hypothesis searches plans and shrinks them.

Only truth values are drawn. Hypothesis mixes constants of the modules that happen to be loaded into the numbers that it
draws, which would make the search depend on them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import torch
from hypothesis import strategies as st

from verify.optimizers.falsify.history import Coordinate, History, Layout, Setting

__all__ = ["Plan", "Space", "Untouched", "first_plans", "history_of", "plans"]

Chosen = TypeVar("Chosen")


class Untouched(Enum):
    """What the tested coordinates get: a gradient 0, or (their whole parameters) no gradient at all."""

    ZERO = "gradient 0"
    NONE = "no gradient (None)"


class Live(Enum):
    """The gradients of the other coordinates; simplest first."""

    ONES = "all equal, every step the same"
    REPEATED = "different, every step the same"
    ALTERNATING = "signs change at every step"
    RANDOM = "new at every step"
    SIZES = "0, tiny, 1 and huge together, new at every step"
    LATE_JUMP = "small, then suddenly large at the last step"
    SPARSE = "most entries 0, sometimes whole steps"
    GROWING = "ten times as large from step to step, then back"
    NONE_AT_ALL = "0 as well"


class Start(Enum):
    """The initial parameters; simplest first."""

    ONES = "1"
    RANDOM = "normal"
    SIZES = "0, small, 1 and large together, with signs"
    NEGATIVE = "negative"
    ZEROS = "0"


class Silent(Enum):
    """Which coordinates (for F) or hidden neurons stay without gradient; simplest first."""

    ONE = "one"
    SOME = "some"
    BLOCK = "a whole parameter, or a whole layer"
    ONE_IN_EACH = "one in each parameter or layer"
    ALL = "all of them"


@dataclass(frozen=True)
class Space:
    """Where plans are drawn from. whole_neurons: hidden neurons are tested, not single coordinates."""

    layouts: tuple[Layout, ...]
    steps: tuple[int, ...]
    settings: tuple[dict[str, Setting], ...]
    untouched: Untouched
    whole_neurons: bool
    dtype: torch.dtype

    @property
    def huge(self) -> float:
        """The largest gradient; its fourth power is finite in this type."""
        return min(1e10, math.sqrt(math.sqrt(math.sqrt(torch.finfo(self.dtype).max))))

    @property
    def scales(self) -> tuple[float, ...]:
        """Typical sizes of gradients."""
        return (1.0, 100.0, 1e-3, self.huge, 1 / self.huge)


@dataclass(frozen=True)
class Plan:
    """The choices; numbers are indices into the space."""

    layout: int = 0
    steps: int = 0
    settings: int = 0
    tested: Silent = Silent.ONE
    live: Live = Live.ONES
    start: Start = Start.ONES
    scale: int = 0
    seed: int = 0


def _number(bits: int) -> st.SearchStrategy[int]:
    return st.tuples(*[st.booleans()] * bits).map(lambda drawn: sum(bit << place for place, bit in enumerate(drawn)))


def _one_of(options: Sequence[Chosen]) -> st.SearchStrategy[Chosen]:
    """One of the options, the first the simplest."""
    if len(options) == 1:
        return st.just(options[0])
    return _number((len(options) - 1).bit_length() + 1).map(lambda number: options[number % len(options)])


def plans(space: Space) -> st.SearchStrategy[Plan]:
    """All plans of a space."""
    return st.builds(
        Plan,
        layout=_one_of(range(len(space.layouts))),
        steps=_one_of(range(len(space.steps))),
        settings=_one_of(range(len(space.settings))),
        tested=_one_of(list(Silent)),
        live=_one_of(list(Live)),
        start=_one_of(list(Start)),
        scale=_one_of(range(len(space.scales))),
        seed=_number(6),
    )


def first_plans(space: Space) -> Iterator[Plan]:
    """Plans that every search tries first: short and long, and every way of choosing gradients."""
    middle = min(1, len(space.layouts) - 1)
    longest = max(range(len(space.steps)), key=space.steps.__getitem__)
    for index, live in enumerate(Live):
        settings = index % len(space.settings)
        start = Start.SIZES if index % 2 else Start.RANDOM
        short = min(index % 3, len(space.steps) - 1)
        yield Plan(middle, short, settings, list(Silent)[index % 5], live, start, 0, index)
    for live, tested in ((Live.RANDOM, Silent.SOME), (Live.SIZES, Silent.ONE), (Live.LATE_JUMP, Silent.ONE_IN_EACH)):
        for settings in range(len(space.settings)):
            yield Plan(middle, longest, settings, tested, live, Start.RANDOM, 0, 100)


def history_of(plan: Plan, space: Space) -> History:
    """The history that a plan stands for."""
    layout = space.layouts[plan.layout]
    chance = random.Random(plan.seed)
    quiet = _quiet(plan.tested, layout, space, chance)
    initial = _by_shape(layout, lambda coordinate: _start(plan.start, chance))
    steps = space.steps[plan.steps]
    bases = {coordinate: chance.choice((-1, 1)) * chance.uniform(0.5, 2) for coordinate in layout.coordinates}
    gradients = []
    for step in range(1, steps + 1):
        rows = _gradients(plan, layout, space, step, steps, bases, chance)
        listed: list[tuple[float, ...] | None] = []
        for index, row in enumerate(rows):
            still = [place for place in range(len(row)) if (index, place) in quiet]
            if space.untouched is Untouched.NONE and len(still) == len(row):
                listed.append(None)
            else:
                listed.append(tuple(0.0 if (index, place) in quiet else entry for place, entry in enumerate(row)))
        gradients.append(tuple(listed))
    return History(layout.shapes, initial, tuple(gradients), plan.seed, space.settings[plan.settings])


def _by_shape(layout: Layout, value: Callable[[Coordinate], float]) -> tuple[tuple[float, ...], ...]:
    sizes = [torch.Size(shape).numel() for shape in layout.shapes]
    return tuple(tuple(value((index, place)) for place in range(size)) for index, size in enumerate(sizes))


def _quiet(tested: Silent, layout: Layout, space: Space, chance: random.Random) -> set[Coordinate]:
    """The coordinates that get no gradient."""
    blocks: dict[int, list[tuple[Coordinate, ...]]] = {}
    if space.whole_neurons:
        for neuron in layout.neurons:
            blocks.setdefault(neuron.layer, []).append(neuron.coordinates)
    else:
        for coordinate in layout.coordinates:
            blocks.setdefault(coordinate[0], []).append((coordinate,))
    units = [unit for block in blocks.values() for unit in block]
    if space.untouched is Untouched.NONE and tested is not Silent.ALL:
        chosen = chance.choice(list(blocks.values()))  # a gradient is missing for whole parameters only
    elif tested is Silent.ONE:
        chosen = [chance.choice(units)]
    elif tested is Silent.SOME:
        chosen = [unit for unit in units if chance.random() < 0.5] or units[:1]
    elif tested is Silent.BLOCK:
        chosen = chance.choice(list(blocks.values()))
    elif tested is Silent.ONE_IN_EACH:
        chosen = [chance.choice(block) for block in blocks.values()]
    else:
        chosen = units
    return {coordinate for unit in chosen for coordinate in unit}


def _start(start: Start, chance: random.Random) -> float:
    if start is Start.ONES:
        return 1.0
    if start is Start.RANDOM:
        return chance.gauss(0, 1)
    if start is Start.SIZES:
        return (
            chance.choice((-1, 1)) * chance.choice((0.0, 1e-3, 0.3, 1.0, 1e3)) * chance.choice((1.0, chance.random()))
        )
    return -abs(chance.gauss(0, 1)) if start is Start.NEGATIVE else 0.0


def _gradients(
    plan: Plan,
    layout: Layout,
    space: Space,
    step: int,
    steps: int,
    bases: dict[Coordinate, float],
    chance: random.Random,
) -> tuple[tuple[float, ...], ...]:
    """The gradients of one step, before those of the tested coordinates are set to 0."""
    scale, live = space.scales[plan.scale], plan.live
    nothing = live is Live.NONE_AT_ALL or (live is Live.SPARSE and chance.random() < 0.2)
    power = 10.0 ** (min(step, 8) - (step > 8) * min(step - 8, 16))

    def value(coordinate: Coordinate) -> float:
        base = bases[coordinate]
        if nothing:
            return 0.0
        if live is Live.ONES:
            return scale
        if live is Live.ALTERNATING:
            return scale * (-base if step % 2 else base)
        if live is Live.RANDOM:
            return scale * chance.gauss(0, 1)
        if live is Live.SIZES:
            sizes = (0.0, 1 / space.huge, 1e-3, 1.0, chance.uniform(1, 100), space.huge)
            return chance.choice((-1, 1)) * chance.choice(sizes)
        if live is Live.LATE_JUMP:
            return base * (space.huge if step == steps else 1e-3)
        if live is Live.SPARSE:
            return scale * base if chance.random() < 0.3 else 0.0
        if live is Live.GROWING:
            return max(-space.huge, min(space.huge, base * power))
        return scale * base

    return _by_shape(layout, value)
