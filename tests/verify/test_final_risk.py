"""The histogram of final risks: every network is counted once, in the bin of its risk."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from theorems.setting import DataSet
from verify.data import DataSpec, load_data
from verify.simulation.final_risk import BEYOND, NO_RISK, RISK_BINS, RISK_SPAN, histogram


def parabola() -> DataSet:
    return load_data(DataSpec(source="x**2 + 2*x", points=8))


def test_levels_fall_into_their_bins() -> None:
    data = parabola()
    floor, unit = float(data.noise_floor), float(data.variance)
    risks = floor + unit * np.array([0.01, 0.99, 1.01, RISK_SPAN - 0.01, RISK_SPAN + 1])
    told = histogram(np.array([*risks, np.inf, np.nan, 1e300]), data)
    assert told == {"0": 1, "39": 1, "40": 1, "79": 1, str(BEYOND): 2, str(NO_RISK): 2}


@given(st.lists(st.floats(min_value=0), max_size=50))
def test_every_network_is_counted_once(risks: list[float]) -> None:
    told = histogram(np.array(risks, dtype=np.float64), parabola())
    assert sum(told.values()) == len(risks)
    assert all(0 <= int(place) < RISK_BINS + 2 for place in told)
    assert told.get(str(NO_RISK), 0) == sum(not np.isfinite(risk) for risk in risks)


def test_without_variance_there_is_no_unit() -> None:
    constant = load_data(DataSpec(source="0*x + 1", points=4))
    assert histogram(np.array([1.0]), constant) == {}
