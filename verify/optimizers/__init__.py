"""Optimizers: the nine named rules as torch.optim classes, foreign classes, and what is known of them."""
