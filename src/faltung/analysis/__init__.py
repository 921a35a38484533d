"""A convolution seen from outside: its matrix, its adjoint, what it costs, what it reads, what it does to a wave."""
