"""Everything faltung raises on purpose.

    FaltungError
    ├── ProblemError (ValueError)      what was asked has no meaning
    │   ├── BoundaryError              an unknown or impossible boundary rule
    │   ├── GeometryError              shapes, ranks, strides, dilations, anchors, paddings
    │   └── DtypeError (TypeError)     a dtype that is refused, or an overflow that cannot be excluded
    ├── PlanError (ValueError)         what was asked is clear, but no method may do it
    ├── CompileError (RuntimeError)    the compiler or its cache failed
    ├── EquivarianceError (AssertionError)  a required symmetry does not hold
    └── FileError (OSError)            a file that cannot be read or must not be written

Each message says what was given, what was expected, and how to fix it.
"""


class FaltungError(Exception):
    """The root: ``except faltung.FaltungError`` catches everything the library raises on purpose."""


class ProblemError(FaltungError, ValueError):
    """What was asked has no meaning."""


class BoundaryError(ProblemError):
    """An unknown boundary rule, or one that cannot extend the given axis."""


class GeometryError(ProblemError):
    """Shapes, ranks, strides, dilations, anchors or paddings that do not fit together."""


class DtypeError(ProblemError, TypeError):
    """A dtype that is refused, or an integer overflow that cannot be excluded."""


class PlanError(FaltungError, ValueError):
    """The problem is clear, but no permitted method can solve it within the limits given."""


class CompileError(FaltungError, RuntimeError):
    """The compiler or its cache failed."""


class EquivarianceError(FaltungError, AssertionError):
    """A symmetry that was required does not hold; the message names the layer and a cure."""


class FileError(FaltungError, OSError):
    """A file that cannot be read, or that must not be written."""
