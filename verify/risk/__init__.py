"""What can be certified about the optimal risk: bounds from both sides, above the noise floor or not, and margins."""

from verify.risk.above_noise import optimal_risk_above_noise
from verify.risk.floor import RiskFloor, risk_floor
from verify.risk.interpolation import interpolates
from verify.risk.isolation import LARGEST_KAPPA, Isolation, isolation_number
from verify.risk.margins import dead_neuron_gain, deep_margin, ridge_gain, spanning_margin
from verify.risk.segments import affine_runs, linear_pieces
from verify.risk.witness import Witness, best_witness

__all__ = [
    "LARGEST_KAPPA",
    "Isolation",
    "RiskFloor",
    "Witness",
    "affine_runs",
    "best_witness",
    "dead_neuron_gain",
    "deep_margin",
    "interpolates",
    "isolation_number",
    "linear_pieces",
    "optimal_risk_above_noise",
    "ridge_gain",
    "risk_floor",
    "spanning_margin",
]
