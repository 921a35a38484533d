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
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A PNG, JPEG, TIFF, NPY or NetCDF file, or a Zarr store or its URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="OUTPUT", help="Its suffix says the format.")],
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
    part: Annotated[str | None, typer.Option(metavar="NAME", help="Which array, level or variable of a store.")] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="The most that all processes of a job may take together: 500MB, 1GB."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, metavar="N", help="Processes beside this one.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask cluster to work on: tcp://host:8786.")
    ] = None,
    chunks: Annotated[str | None, typer.Option(metavar="N,...", help="Chunks of OUTPUT. Default: INPUT's.")] = None,
    shards: Annotated[str | None, typer.Option(metavar="N,...", help="Shards of OUTPUT. Default: INPUT's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was stopped.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash INPUT's bytes too, to tell whether it changed before a resume.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print plan, memory and chunk counts, and stop.")] = False,
) -> None:
    """Filter a picture or an array and write the result.

    The kernel is correlated, y(p) = Σ k(i)·x(p + i), as image programs do; --convolve flips it. Colour channels,
    time points and every other axis that is not filtered are carried along, each plane on its own. The output
    appears complete or not at all, and an existing file is only replaced with --force.

    faltung apply photo.jpg soft.jpg --filter gaussian:sigma=2

    faltung apply photo.png edges.npy --filter sobel:axis=-1 --boundary reflect --explain

    faltung apply stack.tif smooth.tif --filter box:size=5 --axes yx --layout tyx

    Where INPUT or OUTPUT is a Zarr store, or an option of jobs is given, the array may be larger than memory: it is
    read, filtered and written chunk by chunk, and a job that was stopped goes on with --resume.

    faltung apply big.zarr soft.zarr --filter gaussian:sigma=2 --max-memory 1GB --workers 2
    """
    from faltung.cli.apply import Job, apply_job
    from faltung.cli.job import Large, apply_large

    job = Job(
        source=Path(source),
        target=Path(target),
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
    large = Large(
        source=source, target=target, part=part, max_memory=max_memory, workers=workers, scheduler=scheduler,
        chunks=chunks, shards=shards, resume=resume, verify=verify, dry_run=dry_run,
    )  # fmt: skip
    if large.wanted:
        apply_large(large, job, typer.echo)
    else:
        apply_job(job, typer.echo)


@app.command()
@reported
def pyramid(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A Zarr, OME-Zarr, TIFF, NPY or NetCDF image.")],
    target: Annotated[str, typer.Argument(metavar="OUTPUT.zarr", help="The OME-Zarr image to write.")],
    kernel: Annotated[str, typer.Option("--kernel", "-k", help="binomial or gaussian.")] = "binomial",
    levels: Annotated[
        int | None, typer.Option(min=1, help="How many, the image included. Default: until 256 samples are enough.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(metavar="N,...", help="The spatial axes. Default: z, y and x, as INPUT names them.")
    ] = None,
    part: Annotated[str | None, typer.Option(metavar="NAME", help="Which array, level or variable of a store.")] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="BYTES", help="The most that all processes may take together: 500MB, 1GB.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, metavar="N", help="Processes beside this one.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each process. Default: all cores.")] = None,
    chunks: Annotated[str | None, typer.Option(metavar="N,...", help="Chunks of OUTPUT. Default: INPUT's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Write an image and ever smaller, anti-aliased versions of it as OME-Zarr, in bounded memory.

    Each level is the one before, smoothed and kept at every second sample; scales and translations say where samples
    lie.

    faltung pyramid scan.tif scan.ome.zarr --max-memory 1GB
    """
    from faltung.cli.pyramid import make_pyramid

    make_pyramid(
        source, target, typer.echo, kernel=kernel, levels=levels, axes=axes, part=part, max_memory=max_memory,
        workers=workers, threads=threads, chunks=chunks, resume=resume, force=force,
    )  # fmt: skip


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
def tune(
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure.")] = 20,
) -> None:
    """Measure this machine, so that predicted times and the choice of an algorithm fit it.

    Constants are shipped for every instruction set, and nobody needs this. What is measured is kept in the user's
    configuration folder and used only where the variable FALTUNG_TUNED is 1, or names the file; plans then say so in
    their signature and in explain().
    """
    from faltung.cli.tune import tune_lines

    for line in tune_lines(seconds):
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


@app.command()
@reported
def equivariance(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL.onnx|MODULE:FUNCTION",
            help="An ONNX file, or what Python can import: a function of one array, a torch module.",
        ),
    ],
    source: Annotated[Path, typer.Option("--input", "-i", metavar="FILE", help="A PNG, JPEG, TIFF or NPY picture.")],
    group: Annotated[
        str,
        typer.Option(
            "--group",
            "-g",
            metavar="NAME[:N,...]",
            help="shifts, cropped-shifts, rotations90, dihedral, reflections, rotations, permutations, scalings, "
            "offset or gain; after a colon distances, angles, factors, or the axis: shifts:1,2,8",
        ),
    ] = "shifts",
    fail_above: Annotated[
        float | None,
        typer.Option(metavar="ERROR", help="Exit with code 1 if an error is larger, relative to the largest output."),
    ] = None,
    output: Annotated[
        str, typer.Option(metavar="ACTION", help="What the output is to do: auto, field, regular or invariant.")
    ] = "auto",
    crop: Annotated[
        str | None, typer.Option(metavar="ROWS,COLUMNS", help="Take the middle. Default: what the model takes.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="How the model takes a picture: nchw, nhwc, chw, hwc or hw. Default: what the model says."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Leave the values as they are, instead of 0 to 1.")] = False,
    layers: Annotated[bool, typer.Option(help="Measure each layer of a torch module or ONNX graph too.")] = True,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the report, as .svg or .png.")] = None,
) -> None:
    """Measure whether a model commutes with shifts, rotations, ...: f(g(x)) = g(f(x)), and which layer breaks it.

    The model sees the picture as it is and moved, and its outputs are compared under the action that is right for
    them: on their own grid, with channels permuted, or unmoved. Models that are imported run their code.

    faltung equivariance detector.onnx --group shifts:1,32 --input page.png --fail-above 1e-3

    faltung equivariance mymodels:Net --group rotations90 --input photo.png --crop 33 --plot audit.svg
    """
    from faltung.cli.equivariance import Audit, audit

    job = Audit(
        model=model,
        group=group,
        source=source,
        crop=crop,
        layout=layout,
        raw=raw,
        output=output,
        layers=layers,
        fail_above=fail_above,
        json=json,
        plot=plot,
    )
    code = audit(job)
    if code:
        raise typer.Exit(code)
