"""How the functions of `faltung.nn` are made of plans: descriptions, runs with changing weights, transposed phases."""
