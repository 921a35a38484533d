"""What a function makes of a group's action, measured: errors, where they sit, what they are made of, and cures."""
