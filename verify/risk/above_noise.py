"""Is the optimal risk above the noise floor, `I(l) > nu`?

Source: math Lemma 7 a to d. Everything is exact: fractions and integers.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from theorems.hypotheses import Evidence, Finding, OptimalRiskAboveNoise, Status
from theorems.setting import DataSet
from verify.risk.interpolation import interpolates, neurons_to_interpolate
from verify.risk.lattice import input_lattice
from verify.risk.lines import lines_in, longest_runs
from verify.risk.segments import affine_runs, linear_pieces

__all__ = ["optimal_risk_above_noise"]

ID = OptimalRiskAboveNoise(0).id


def optimal_risk_above_noise(first_width: int, later_hidden: tuple[int, ...], data: DataSet) -> Finding:
    """Decide `I(l') > nu` for hidden widths `(first_width, *later_hidden)`; first width 0 means constant networks.

    Along decreasing first widths the statuses only improve: fails, unknown, holds.

    Source:   math Lemma 7 a (interpolation: fails), b and c (pieces along a line: holds), d (dimension count: holds
              almost surely, only where the labels are declared to have a density).
    Rigour:   exact; UNKNOWN where no part decides.
    """
    if data.variance == 0:
        return _certified(Status.FAILS, "all mean labels are equal (V = 0), so constants reach the noise floor")
    if first_width == 0:
        return _certified(Status.HOLDS, "without first-layer neurons the output is constant, and V > 0")
    if interpolates(first_width, later_hidden, data):
        enough = neurons_to_interpolate(data)
        return _certified(Status.FAILS, f"{enough} neurons interpolate {data.n_inputs} distinct inputs: I(l') = nu")
    hidden = (first_width, *later_hidden)
    runs, told = _runs(data)
    pieces = linear_pieces(hidden)
    shape = f"{first_width} first-layer neuron{'s' if first_width > 1 else ''}" + (
        f" and {len(later_hidden)} more hidden layer{'s' if len(later_hidden) > 1 else ''}" if later_hidden else ""
    )
    if runs > pieces:
        return _certified(Status.HOLDS, f"{told}, and {shape} allow only {pieces} linear pieces")
    counted = _dimension_count(hidden, data) if data.labels_have_density else None
    if counted is not None:
        return Finding(ID, Status.HOLDS, Evidence.ALMOST_SURE, counted)
    allowed = str(pieces) if pieces < 10**9 else "more than 10^9"
    undecided = f"{told}, and {shape} allow up to {allowed} linear pieces; {_what_would_decide(hidden, data)}"
    return _certified(Status.UNKNOWN, undecided)


def _certified(status: Status, why: str) -> Finding:
    return Finding(ID, status, Evidence.CERTIFIED, why)


def _runs(data: DataSet) -> tuple[int, str]:
    """Most affine runs that the labels need along one line, and that in words."""
    if data.input_dim == 1:
        runs = affine_runs(data)
        return runs, f"the data have {runs} exactly affine run{'s' if runs > 1 else ''}"
    runs = longest_runs(data)
    if not runs:
        return 0, "no line through five or more distinct inputs was found"
    return runs, f"along one line the labels have {runs} exactly affine run{'s' if runs > 1 else ''}"


def _dimension_count(hidden: tuple[int, ...], data: DataSet) -> str | None:
    """Why labels with a density are out of reach almost surely, for all inputs or those on one line; None if not."""
    for points, directions, where in _subsets(data):
        freedom = _free_parameters((directions, *hidden, data.output_dim))
        values = points * data.output_dim
        if values > freedom:
            return (
                f"the labels are declared to have a joint density given the inputs: almost surely their {values} means "
                f"{where} are out of reach of {freedom} effective parameters"
            )
    return None


def _what_would_decide(hidden: tuple[int, ...], data: DataSet) -> str:
    """What would answer the question where Lemma 7 does not."""
    reached = neurons_to_interpolate(data)
    told = []
    if interpolates(reached, hidden[1:], data):
        told.append(f"{reached} first-layer neurons surely reach the noise floor")
    if _labels_differ(data) and _dimension_count(hidden, data) is not None:
        told.append("labels declared to have a density (labels_have_density) would almost surely be out of reach")
    return "; ".join(told) or "nor does any other known criterion decide"


@lru_cache(maxsize=64)
def _labels_differ(data: DataSet) -> bool:
    """Whether no entry of a label column repeats: else the labels cannot be declared to have a density."""
    columns = zip(*(label for _, label in data.rows), strict=True)
    return all(len({value.as_integer_ratio() for value in column}) == data.n_rows for column in columns)


def _subsets(data: DataSet) -> list[tuple[int, int, str]]:
    """Number of inputs, bound of the dimension that they span affinely, and where they are: all, and a longest line."""
    found = [(data.n_inputs, _dimension(data), f"at all {data.n_inputs} distinct inputs")]
    lines = lines_in(data)
    if data.input_dim > 1 and lines:
        found.append((len(lines[0].members), 1, f"at {len(lines[0].members)} distinct inputs on one line"))
    return found


@lru_cache(maxsize=64)
def _dimension(data: DataSet) -> int:
    """Upper bound of the dimension of the affine hull of the inputs: columns that are not constant and not alike."""
    lattice = input_lattice(data)
    kinds = set()
    for column, size in zip(lattice.values.T.tolist(), lattice.sizes, strict=True):
        if size:
            kinds.add(min(tuple(column), tuple(size - value for value in column)))
    return max(1, min(len(kinds), data.n_inputs - 1))


def _free_parameters(widths: tuple[int, ...]) -> int:
    """`D(l) - sum_k l_k`: parameters less one for each hidden neuron, whose incoming vector may be normalized."""
    parameters = sum(out * (inp + 1) for inp, out in pairwise(widths))
    return parameters - sum(widths[1:-1])
