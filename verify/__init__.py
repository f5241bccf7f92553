"""How the claims are checked: enclosures, probabilities, risks, optimizers, simulation, inference, reports."""
