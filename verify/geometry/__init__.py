"""Trees and tours through the inputs: found in floats, measured with certified upper bounds."""

from verify.geometry.tour import Tour, tour
from verify.geometry.tree import Tree, spanning_tree

__all__ = ["Tour", "Tree", "spanning_tree", "tour"]
