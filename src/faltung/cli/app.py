"""The commands and their options; each hands over to a module that is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from faltung.cli.draw import draw
from faltung.cli.reported import reported

app = typer.Typer(
    help="Convolution, described once: filter pictures and arrays of any rank.",
    epilog="Begin with:  faltung apply photo.png soft.png --filter gaussian:sigma=2",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(draw, name="draw")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"faltung {version('faltung')}")
        raise typer.Exit


@app.callback()
def _faltung(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
@reported
def apply(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A PNG, JPEG, TIFF or NPY file.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Its suffix says the format.")],
    filter_: Annotated[
        str | None,
        typer.Option("--filter", "-f", metavar="NAME:params", help="A filter by name; see: faltung filters."),
    ] = None,
    kernel: Annotated[
        Path | None, typer.Option("--kernel", "-k", metavar="FILE.npy", help="A kernel from an NPY file.")
    ] = None,
    boundary: Annotated[
        str | None,
        typer.Option(
            metavar="RULE[,RULE...]",
            help="What lies beyond the edge: zero, constant:V, edge, reflect, symmetric, wrap, antireflect, "
            "antisymmetric, or a foreign name such as ndimage:reflect. One for all axes or one per filtered "
            "axis (reflect,wrap); one per side as low/high (zero/edge). Default: symmetric for mode same, zero "
            "for full.",
        ),
    ] = None,
    stride: Annotated[str, typer.Option(metavar="N[,N...]", help="Keep every Nth result.")] = "1",
    dilation: Annotated[str, typer.Option(metavar="N[,N...]", help="Samples from tap to tap.")] = "1",
    mode: Annotated[str, typer.Option(help="Size of the result: same, full or valid.")] = "same",
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="LETTERS|NUMBERS",
            help="The axes to filter, as letters (yx) or numbers from 0 (1,2). Default: y and x, where the file "
            "names them.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the axes are, where the file does not say: tyx."),
    ] = None,
    series: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Which picture of a TIFF with several.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Type of the result, such as float32; 'input' rounds and saturates to the input's. Default: "
            "input, when an integer picture is written as PNG or JPEG; otherwise the library's rule (8- and "
            "16-bit integers give int32 under an integer kernel and float32 under a real one, floats stay).",
        ),
    ] = None,
    convolve: Annotated[
        bool,
        typer.Option("--convolve", help="Flip the kernel. Without it the kernel is correlated as given."),
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads to use. Default: all cores.")] = None,
    max_bytes: Annotated[int, typer.Option(min=1, metavar="BYTES", help="The most to decode from a file at once.")] = 4
    * 2**30,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan before it runs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Filter a picture or an array and write the result.

    The kernel is correlated, y(p) = Σ k(i)·x(p + i), as image programs do; --convolve flips it. Colour channels,
    time points and every other axis that is not filtered are carried along, each plane on its own. The output
    appears complete or not at all, and an existing file is only replaced with --force.

    faltung apply photo.jpg soft.jpg --filter gaussian:sigma=2

    faltung apply photo.png edges.npy --filter sobel:axis=-1 --boundary reflect --explain

    faltung apply stack.tif smooth.tif --filter box:size=5 --axes yx --layout tyx
    """
    from faltung.cli.apply import Job, apply_job

    job = Job(
        source=source,
        target=target,
        filter=filter_,
        kernel=kernel,
        boundary=boundary,
        stride=stride,
        dilation=dilation,
        mode=mode,
        axes=axes,
        layout=layout,
        series=series,
        dtype=dtype,
        convolve=convolve,
        threads=threads,
        max_bytes=max_bytes,
        explain=explain,
        force=force,
    )
    apply_job(job, typer.echo)


@app.command()
@reported
def info(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Describe this file instead.")] = None,
) -> None:
    """Describe this installation, or a file: its format, shape, dtype and axes.

    faltung info

    faltung info stack.tif
    """
    from faltung.cli.report import file_lines, machine_lines

    for line in file_lines(file) if file else machine_lines():
        typer.echo(line)


@app.command()
@reported
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete the compiled kernels.")] = False,
) -> None:
    """Show where compiled kernels are kept, and how many; or delete them.

    They are compiled again when they are needed, so that deleting them costs time only.
    """
    from faltung.cli.report import cache_lines

    for line in cache_lines(clear=clear):
        typer.echo(line)


@app.command()
@reported
def filters(
    name: Annotated[str | None, typer.Argument(metavar="[NAME[:params]]", help="Show this filter.")] = None,
    ndim: Annotated[int, typer.Option(help="Number of axes of the kernel.")] = 2,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the taps (.npy, .tif) or a picture of them (.png, .jpg) instead of showing them.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """List the filters, or show one: formula, source, parameters, and its kernel drawn.

    faltung filters

    faltung filters gabor:wavelength=8,angle=30

    faltung filters gaussian:sigma=2,order=0,1 --save slope.npy
    """
    from faltung.cli import filters as pages

    if save:
        typer.echo(pages.save(pages.required(name), ndim, save, force=force))
    elif name:
        pages.show(name, ndim)
    else:
        pages.show_all()
