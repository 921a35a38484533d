"""What is asked: boundaries, geometry, dtypes, the facts of a kernel; pure rules that touch no array of the user's."""
