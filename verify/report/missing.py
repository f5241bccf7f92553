"""What a report does not show because the results or the folder do not hold it: told, never passed over."""

from __future__ import annotations

from verify.report.details import Links
from verify.report.final_risks import risks_recorded
from verify.report.numbers import many
from verify.report.rows import was_trained
from verify.results import Results

__all__ = ["missing"]


def missing(results: Results, certificates: Links) -> list[str]:
    """One sentence for each thing that is not there."""
    wanted = {(case.id, theorem.theorem) for case in results.cases for theorem in case.theorems}
    told = []
    if not results.cases:
        told.append("The audit has no cases: nothing was asked.")
    absent = len(wanted - set(certificates))
    if wanted and absent == len(wanted):
        told.append("No certificates lie beside this report, so none are linked.")
    elif absent:
        told.append(f"{absent:,} of {many(len(wanted), 'comparison')} have no certificate beside this report.")
    if was_trained(results) and not risks_recorded(results):
        told.append("The results do not record the risks after training, so their distribution is not drawn.")
    if not results.environment.get("git_revision"):
        told.append("The results do not say which revision of the program wrote them.")
    return told
