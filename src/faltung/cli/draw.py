"""``faltung draw``: the pictures and their options; each hands over to a module that is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from faltung.cli.reported import reported

draw = typer.Typer(
    help="Draw a filter, the sliding operation, a layer, shared weights, the arithmetic of padding and stride.",
    epilog="Begin with:  faltung draw sliding sobel -o sliding.svg     Pictures need: pip install 'faltung[plot]'",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Out = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where to: .svg or .png, and .gif for arithmetic.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")]
Filter = Annotated[
    str,
    typer.Argument(
        metavar="FILTER",
        help="A filter by name (sobel, gaussian:sigma=1), a kernel from a file (K.npy), or its taps: 1,2,1 for one "
        "axis, '0,1,0;1,-4,1;0,1,0' for rows. Taps that begin with a minus sign go after --",
    ),
]
Ndim = Annotated[int, typer.Option(help="Axes of a filter given by name.")]
Boundary = Annotated[str | None, typer.Option(metavar="RULE", help="What lies beyond the edge; see: draw boundary.")]
Stride = Annotated[int, typer.Option(min=1, help="Keep every Nth result.")]
Dilation = Annotated[int, typer.Option(min=1, help="Samples from tap to tap.")]
Padding = Annotated[int | None, typer.Option(min=0, help="Samples added on each side, in place of a mode.")]
Mode = Annotated[str, typer.Option(help="Size of the result: same, full or valid.")]
Convolve = Annotated[bool, typer.Option("--convolve", help="Flip the kernel. Without it it is correlated as given.")]
Input = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="A PNG, JPEG, TIFF or NPY file.")]


@draw.command()
@reported
def kernel(filter_: Filter, output: Out, ndim: Ndim = 2, force: Force = False) -> None:
    """Draw a filter: its taps as numbers in coloured cells.

    faltung draw kernel sobel -o sobel.svg

    faltung draw kernel -o laplace.png '0,1,0;1,-4,1;0,1,0'
    """
    from faltung.cli import drawing

    typer.echo(drawing.kernel(filter_, ndim, output, force=force))


@draw.command()
@reported
def sliding(
    filter_: Filter,
    output: Out,
    source: Input = None,
    size: Annotated[str, typer.Option(metavar="N[,N]", help="Without --input: size of an example.")] = "5",
    at: Annotated[
        str | None, typer.Option(metavar="J[,K]", help="The output written out. Default: the middle.")
    ] = None,
    ndim: Ndim = 2,
    boundary: Boundary = None,
    stride: Stride = 1,
    dilation: Dilation = 1,
    padding: Padding = None,
    mode: Mode = "same",
    convolve: Convolve = False,
    force: Force = False,
) -> None:
    """Draw the sliding operation at one output, with its products and their sum written out.

    faltung draw sliding sobel -o sliding.svg --at 0,2 --boundary reflect

    faltung draw sliding 1,2,1 -o strided.png --size 9 --stride 2 --padding 1
    """
    from faltung.cli import drawing

    options = drawing.Options(boundary, stride, dilation, padding, mode, convolve)
    typer.echo(drawing.sliding(filter_, ndim, options, (source, size, at), output, force=force))


@draw.command(name="map")
@reported
def feature_map(
    filter_: Filter,
    output: Out,
    source: Annotated[Path, typer.Option("--input", "-i", metavar="FILE", help="An image of two axes.")],
    boundary: Boundary = None,
    stride: Stride = 1,
    dilation: Dilation = 1,
    padding: Padding = None,
    mode: Mode = "same",
    convolve: Convolve = False,
    force: Force = False,
) -> None:
    """Draw an image, the kernel and the feature map that it makes; of a colour image, its grey.

    faltung draw map sobel -i photo.png -o edges.png
    """
    from faltung.cli import drawing

    options = drawing.Options(boundary, stride, dilation, padding, mode, convolve)
    typer.echo(drawing.feature_map(filter_, options, source, output, force=force))


@draw.command()
@reported
def layer(
    output: Out,
    inputs: Annotated[int, typer.Option(min=1, help="Input channels.")] = 3,
    outputs: Annotated[int, typer.Option(min=1, help="Output channels, one feature map each.")] = 4,
    kernel: Annotated[str, typer.Option(metavar="N[,N]", help="Size of the window.")] = "3",
    groups: Annotated[int, typer.Option(min=1, help="Groups of channels that do not see each other.")] = 1,
    bias: Annotated[bool, typer.Option(help="One number added to each feature map.")] = True,
    force: Force = False,
) -> None:
    """Draw a multi-dimensional layer: channels as sheets, a volume of the kernel for each feature map.

    faltung draw layer -o layer.svg --inputs 3 --outputs 4 --kernel 3
    """
    from faltung.cli import drawing

    typer.echo(drawing.layer((inputs, outputs), kernel, groups, output, bias=bias, force=force))


@draw.command()
@reported
def units(
    filter_: Filter,
    output: Out,
    size: Annotated[int, typer.Option(min=1, help="Number of inputs.")] = 5,
    boundary: Boundary = "zero",
    stride: Stride = 1,
    dilation: Dilation = 1,
    padding: Padding = None,
    mode: Mode = "same",
    convolve: Convolve = False,
    force: Force = False,
) -> None:
    """Draw units and edges, one colour for each shared weight: dense, locally connected, convolutional.

    faltung draw units 1,2,4 -o units.svg --boundary symmetric
    """
    from faltung.cli import drawing

    options = drawing.Options(boundary, stride, dilation, padding, mode, convolve)
    typer.echo(drawing.units(filter_, options, size, output, force=force))


@draw.command()
@reported
def matrix(
    filter_: Filter,
    output: Out,
    shape: Annotated[str, typer.Option(metavar="N[,N...]", help="Shape of the input.")] = "8",
    boundary: Boundary = "zero",
    stride: Stride = 1,
    dilation: Dilation = 1,
    padding: Padding = None,
    mode: Mode = "same",
    convolve: Convolve = False,
    force: Force = False,
) -> None:
    """Draw the (Toeplitz) matrix of a filter, one colour for each shared weight, the same as in units.

    faltung draw matrix 1,2,4 -o matrix.svg --shape 8 --boundary wrap

    faltung draw matrix sobel -o blocks.png --shape 5,5
    """
    from faltung.cli import drawing

    options = drawing.Options(boundary, stride, dilation, padding, mode, convolve)
    typer.echo(drawing.matrix(filter_, options, shape, output, force=force))


@draw.command()
@reported
def arithmetic(
    output: Out,
    size: Annotated[str, typer.Option(metavar="N[,N]", help="Input; one number is a square, 7, one axis.")] = "5",
    kernel: Annotated[str, typer.Option(metavar="N[,N]", help="Size of the kernel.")] = "3",
    stride: Annotated[str, typer.Option(metavar="N[,N]", help="Steps of the window.")] = "1",
    padding: Annotated[str, typer.Option(metavar="N[,N]", help="Samples added on each side.")] = "0",
    dilation: Annotated[str, typer.Option(metavar="N[,N]", help="Samples from tap to tap.")] = "1",
    transposed: Annotated[bool, typer.Option("--transposed", help="The transpose of that convolution.")] = False,
    output_padding: Annotated[str, typer.Option(metavar="N[,N]", help="More outputs of a transposed one.")] = "0",
    moving: Annotated[bool, typer.Option("--moving", help="A moving picture; a .gif is always one.")] = False,
    seconds: Annotated[float, typer.Option(min=0.05, help="Time for each position.")] = 0.8,
    force: Force = False,
) -> None:
    """Draw the arithmetic of padding, stride, dilation and transposition, after Dumoulin and Visin.

    faltung draw arithmetic -o strided.gif --size 5 --kernel 3 --stride 2 --padding 1

    faltung draw arithmetic -o up.svg --moving --size 3 --kernel 3 --stride 2 --padding 1 --transposed

    faltung draw arithmetic -o line.png --size 7, --kernel 3 --dilation 2
    """
    from faltung.cli import drawing

    numbers = {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    numbers["output_padding"] = output_padding
    how = drawing.Motion(transposed, moving, seconds)
    typer.echo(drawing.arithmetic(numbers, how, output, force=force))


@draw.command()
@reported
def boundary(
    output: Out,
    rules: Annotated[str | None, typer.Option(metavar="RULE[,RULE...]", help="Some rules. Default: all.")] = None,
    source: Input = None,
    force: Force = False,
) -> None:
    """Draw what each boundary rule writes beyond the edge of a signal, or of a picture.

    faltung draw boundary -o rules.svg

    faltung draw boundary -o photo_rules.png -i photo.png --rules reflect,ndimage:reflect
    """
    from faltung.cli import drawing

    typer.echo(drawing.boundary(rules, source, output, force=force))


@draw.command()
@reported
def response(filter_: Filter, output: Out, ndim: Ndim = 1, force: Force = False) -> None:
    """Draw the frequency response of a filter: magnitude and phase.

    faltung draw response gaussian:sigma=1 -o gaussian.svg
    """
    from faltung.cli import drawing

    typer.echo(drawing.response(filter_, ndim, output, force=force))
