"""What can be certified about the optimal risk: above the noise floor or not, and upper bounds by explicit networks."""

from verify.risk.above_noise import affine_runs, interpolates, linear_pieces, optimal_risk_above_noise
from verify.risk.witness import Witness, best_witness

__all__ = [
    "Witness",
    "affine_runs",
    "best_witness",
    "interpolates",
    "linear_pieces",
    "optimal_risk_above_noise",
]
