"""Which convolution a function is that can only be called."""
