"""How a window operation is computed: one method a file."""
