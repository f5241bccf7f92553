"""Which units are dead, alive or undecided: a float pass over the data with proved bounds, then exact arithmetic.

The rows come in chunks. A unit that is surely positive at one row is alive and not looked at again; layers without
open units are not computed any more. What a float pass leaves open (a pre-activation within its error bound of 0) is
decided by signs where these suffice, else exactly, row by row, within a budget; what is left is undecided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verify.scan.bounds import Propagation
from verify.scan.exact import Budget, ExactRow, OutOfBudget
from verify.scan.inputs import ScanInputs
from verify.scan.program import Program, Windows
from verify.scan.signs import SignAnalysis

__all__ = ["BUDGET", "Decision", "Decisions", "decide"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BUDGET = 30_000_000
"""Multiplications of long integers for what the float pass leaves open: some seconds."""

_FIRST_ROWS = 64  # most units are seen to be alive on a few rows
_NUMBERS = 4_000_000  # in one array of activations
_MOST_ROWS = 20_000  # rows remembered for each open unit
_MOST_PAIRS = 500_000  # pairs of an open unit and a row remembered for a layer


@dataclass(frozen=True, eq=False)
class Decision:
    """The units of one ReLU: proved alive, proved dead (the rest is undecided); flags of the dead ones."""

    alive: Bools
    dead: Bools
    signs: SignAnalysis


@dataclass(frozen=True, eq=False)
class Decisions:
    """A decision for every ReLU; looked_at = rows that were computed; exactly = units decided by long integers."""

    layers: tuple[Decision, ...]
    looked_at: int
    exactly: int


class _Open:
    """What is known of the units of one ReLU while rows are looked at."""

    def __init__(self, units: int) -> None:
        self.alive: Bools = np.zeros(units, dtype=bool)
        self.doubtful: Ints = np.zeros(units, dtype=np.int64)  # rows at which neither answer was proved
        self.rows: dict[int, list[int]] = defaultdict(list)  # of some of them
        self.pairs = 0

    def see(self, columns: Ints, positive: Bools, off: Bools, first_row: int) -> None:
        """Take note of some rows, in which `columns` were computed."""
        self.alive[columns[positive.any(axis=0)]] = True
        doubt = ~positive & ~off
        doubt[:, self.alive[columns]] = False
        self.doubtful[columns] += doubt.sum(axis=0)
        for column in np.flatnonzero(doubt.any(axis=0)):
            unit = int(columns[column])
            room = min(_MOST_ROWS - len(self.rows[unit]), _MOST_PAIRS - self.pairs)
            rows = np.flatnonzero(doubt[:, column])[:room] + first_row
            self.rows[unit] += rows.tolist()
            self.pairs += len(rows)


def decide(program: Program, inputs: ScanInputs, budget: int = BUDGET) -> Decisions:
    """Decide every unit of every ReLU on the data.

    Rigour:   dead and alive are proved, in real arithmetic on the exact parameters and inputs; undecided says nothing.
    Symbols:  budget = multiplications of long integers that may be made.
    """
    relus = program.relus
    open_ones = {i: _Open(program.sizes[i]) for i in relus}
    looked_at = _float_pass(program, inputs, open_ones)
    before = {i: state.doubtful.copy() for i, state in open_ones.items()}
    signs = _by_signs(program, inputs, open_ones)
    _exactly(program, inputs, open_ones, Budget(budget))
    decided = sum(
        int(((before[i] > 0) & (state.alive | (state.doubtful == 0))).sum()) for i, state in open_ones.items()
    )
    signs = _by_signs(program, inputs, open_ones)
    layers = tuple(Decision(open_ones[i].alive, _dead(open_ones[i]), signs[i]) for i in relus)
    return Decisions(layers, looked_at, decided)


def _dead(state: _Open) -> Bools:
    dead: Bools = ~state.alive & (state.doubtful == 0)
    return dead


def _by_signs(program: Program, inputs: ScanInputs, open_ones: dict[int, _Open]) -> dict[int, SignAnalysis]:
    """Flags of all units; those that are dead by signs on all inputs that include the data are not open any more."""
    found = SignAnalysis.of(program, inputs, {i: _dead(state) for i, state in open_ones.items()})
    for i, state in open_ones.items():
        state.doubtful[found[i].includes_data(inputs) & ~state.alive] = 0
    return found


def _float_pass(program: Program, inputs: ScanInputs, open_ones: dict[int, _Open]) -> int:
    propagation = Propagation(program)
    start = 0
    for stop in _chunk_ends(program, inputs.rows):
        wanted = {
            program.nodes[i].sources[0]: np.flatnonzero(~state.alive)
            for i, state in open_ones.items()
            if not state.alive.all()
        }
        if not wanted:
            return start
        balls = propagation.balls(inputs.balls(start, stop), wanted)
        for i, state in open_ones.items():
            source = program.nodes[i].sources[0]
            if source in wanted and not state.alive.all():
                ball = balls[source]
                state.see(wanted[source], ball.surely_positive, ball.surely_off, start)
        start = stop
    return start


def _chunk_ends(program: Program, rows: int) -> Iterator[int]:
    """A small first chunk, then as many rows as fit in an array of `_NUMBERS` numbers."""
    widest = max(max(program.sizes), *(node.index.size for node in program.nodes if isinstance(node, Windows)), 1)
    step = max(1, _NUMBERS // widest)
    stop = 0
    while stop < rows:
        stop = min(rows, stop + (min(step, _FIRST_ROWS) if stop == 0 else step))
        yield stop


def _exactly(program: Program, inputs: ScanInputs, open_ones: dict[int, _Open], budget: Budget) -> None:
    """Decide in long integers, row by row, the units of which every doubtful row is remembered, or any is positive."""
    asked: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, state in open_ones.items():
        for unit, rows in state.rows.items():
            if not state.alive[unit] and state.doubtful[unit]:
                for row in rows:
                    asked[row][i].append(unit)
    cache: dict[int, tuple[npt.NDArray[np.object_], int]] = {}
    spent = dict.fromkeys(open_ones, False)
    for row in sorted(asked, key=lambda r: (-sum(map(len, asked[r].values())), r)):
        exact = ExactRow(program, inputs.exact(row), budget, cache)
        for i, units in asked[row].items():
            state = open_ones[i]
            left = [unit for unit in units if not state.alive[unit]]
            if not left or spent[i]:
                continue
            try:
                signs = exact.signs(program.nodes[i].sources[0], left)
            except OutOfBudget:
                spent[i] = True
                continue
            for unit, sign in zip(left, signs, strict=True):
                if sign > 0:
                    state.alive[unit] = True
                else:
                    state.doubtful[unit] -= 1
