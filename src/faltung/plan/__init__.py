"""HOW: from a problem to a method, its bounds and its explanation."""
