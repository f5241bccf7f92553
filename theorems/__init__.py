"""What is claimed: settings, laws, hypotheses and theorems on non-convergence, as exact symbolic objects."""
