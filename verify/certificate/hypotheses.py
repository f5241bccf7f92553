"""The hypotheses of a certificate, with what shows the one on the optimal risk (FORMAT.md, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from theorems.hypotheses import Evidence, Finding, OptimalRiskAboveNoise, Status
from theorems.setting import DataSet
from theorems.theorem import Instance
from verify.certificate.case import prose
from verify.certificate.terms import CannotBeWritten, Json, ratio
from verify.risk.interpolation import interpolating_polyline
from verify.risk.lattice import input_lattice, label_lattice
from verify.risk.lines import lines_in

__all__ = ["hypotheses_part"]

MAX_NETWORK = 20_000
"""Numbers of an interpolating network up to which it is written."""


def hypotheses_part(
    instance: Instance, findings: Sequence[Finding], later: tuple[int, ...], data: DataSet, *, with_rows: bool
) -> Json:
    """The member `hypotheses`; later = widths of the hidden layers after the first."""
    entries = []
    for hypothesis, finding in zip(instance.hypotheses, findings, strict=True):
        shown = None
        if isinstance(hypothesis, OptimalRiskAboveNoise) and with_rows:
            shown = _risk(finding, hypothesis.first_width, later, data)
        entries.append(
            {
                "id": finding.hypothesis,
                "status": finding.status.value,
                "evidence": finding.evidence.value,
                "why": prose(finding.why),
                "certificate": shown,
            }
        )
    return entries


def _risk(finding: Finding, width: int, later: tuple[int, ...], data: DataSet) -> Json:
    """What shows that the optimal risk of `(width, *later)` is above the noise floor, or is not; None: nothing does."""
    if finding.evidence is not Evidence.CERTIFIED or finding.status is Status.UNKNOWN:
        return None
    if finding.status is Status.HOLDS:
        return {"kind": "constant"} if width == 0 else {"kind": "runs", "inputs": _best_line(data)}
    if data.variance == 0:
        return {"kind": "equal"}
    if width >= data.n_inputs - 1:
        return {"kind": "count"}
    return _network(len(later), data)


@lru_cache(maxsize=64)
def _best_line(data: DataSet) -> list[int] | None:
    """Inputs on the line along which the labels need the most affine runs; None for scalar inputs."""
    if data.input_dim == 1:
        return None
    return list(max(lines_in(data), key=lambda line: line.trail(data).runs).members)


@lru_cache(maxsize=64)
def _network(n_later: int, data: DataSet) -> Json:
    """The piecewise linear interpolation as a network; later layers pass its outputs on, shifted to be positive."""
    polyline = interpolating_polyline(data)
    if polyline is None:
        return None
    inputs, labels = input_lattice(data), label_lattice(data)
    direction = [u / step for u, step in zip(polyline.direction, inputs.step, strict=True)]
    origin = sum((u * start for u, start in zip(direction, inputs.start, strict=True)), Fraction(0))
    slopes = [[step * v for step, v in zip(labels.step, change, strict=True)] for change in polyline.changes]
    starts = [start + step * y for start, step, y in zip(labels.start, labels.step, polyline.start, strict=True)]
    layers = [[[*direction, -(knot + origin)] for knot in polyline.knots]]
    shifts = [min(Fraction(0), *column) if n_later else Fraction(0) for column in zip(*data.means, strict=True)]
    count = len(starts)
    layers.append([[*(s[i] for s in slopes), starts[i] - shifts[i]] for i in range(count)])
    for number in range(n_later):
        bias = shifts if number == n_later - 1 else [Fraction(0)] * count
        layers.append([[*(Fraction(i == j) for j in range(count)), bias[i]] for i in range(count)])
    if sum(len(row) for rows in layers for row in rows) > MAX_NETWORK:
        return None
    try:
        return {"kind": "network", "layers": [[[ratio(v) for v in row] for row in rows] for rows in layers]}
    except CannotBeWritten:
        return None
