"""All linear maps that a symmetry allows."""
