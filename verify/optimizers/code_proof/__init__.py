"""Proof on the code: abstract interpretation of an optimizer's own `step`.

A *proof on the code* says: in every execution of this `step`, from a fresh optimizer on parameters of the given shapes,
in which the gradients of the tested coordinates have been 0 at every step so far, these coordinates make only the
moves that the property allows; whatever the other gradients and parameters are, and at every step. It rests on the
rules for the aten operations (each tested against torch), on the Python code being determined by the state that is
followed, and on the conditions listed in the result.
"""

from verify.optimizers.code_proof.prover import Claim, CodeProof, Reach, prove_on_code
from verify.optimizers.code_proof.trial import Limits, Training

__all__ = ["Claim", "CodeProof", "Limits", "Reach", "Training", "prove_on_code"]
