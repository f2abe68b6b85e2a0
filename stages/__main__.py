"""The command line of the kit: `python -m stages` says what there is."""

import sys

# Even an old Python reads this file, and then says what is wrong instead of a traceback.
if sys.version_info < (3, 11):  # noqa: UP036  # the minimum is what is checked
    sys.exit(
        f"This is Python {sys.version_info[0]}.{sys.version_info[1]}, and the kit needs 3.11 or "
        "newer. Probably its own is not active: `make tour` makes it in .venv; then use "
        ".venv/bin/python."
    )
try:
    import rich  # noqa: F401
    import typer
except ModuleNotFoundError as exc:
    sys.exit(
        f"The package {exc.name} is not installed in {sys.executable}. Probably the kit's own "
        "Python is not active: `make tour` makes it in .venv; then use .venv/bin/python."
    )

from typing import Annotated

from stages.lab.cli import console

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Small FastAPI servers that stream LLM tokens, and the probes that prove every fix.",
    epilog="Without a command: the list of stages.",
)

STAGE = "A stage's number, a stage or wrong turn by name, or the path of a file: 3, work/s03.py."
JSON = "Write every verdict with its evidence to this file; `-` is stdout."

Server = Annotated[str, typer.Argument(metavar="STAGE", help=STAGE, show_default=False)]
Number = Annotated[int, typer.Argument(metavar="STAGE", help="The number of the stage: 2 to 6.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")]
JsonTo = Annotated[str | None, typer.Option("--json", metavar="FILE", help=JSON)]


@app.callback(invoke_without_command=True)
def stages(context: typer.Context) -> None:
    """List the stages, and what each one fixes."""
    if context.invoked_subcommand is None:
        from stages.lab.cli import listing

        listing.stages()


@app.command()
def tour(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="STAGE", help=f"{STAGE} All stages without.")
    ] = None,
    json_to: JsonTo = None,
    picture_to: Annotated[
        str | None,
        typer.Option("--picture", metavar="FILE", help="Draw the staircase: .svg, .png or .pdf."),
    ] = None,
) -> None:
    """Run every probe on every stage, then show the staircase."""
    from stages.lab.cli import tour

    raise typer.Exit(tour.tour(names or [], json_to=json_to, picture_to=picture_to))


@app.command()
def run(
    name: Server,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="8000 unless given, or any free one when that is in use."),
    ] = None,
    host: Host = "127.0.0.1",
    real: Annotated[
        bool,
        typer.Option(
            "--real", help="Use the provider of OPENAI_BASE_URL and OPENAI_API_KEY, and pay for it."
        ),
    ] = False,
) -> None:
    """Serve a stage on the scripted upstream, and print a curl line to try."""
    from stages.lab.cli import run

    raise typer.Exit(run.run(name, host=host, port=port, real=real))


@app.command()
def probe(
    name: Server,
    probes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Probes. All without.")
    ] = None,
    json_to: JsonTo = None,
    dialect: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="How the server speaks: stages, plain, or escaped."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All probes on work/s03.py, also those of later stages.")
    ] = False,
) -> None:
    """Probe one stage, or a file of yours, and show the evidence."""
    from stages.lab.cli import probe

    code = probe.probe(name, probes or [], json_to=json_to, dialect=dialect, every=every)
    raise typer.Exit(code)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"{STAGE} Alone: its fix.")],
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="The same.")] = None,
) -> None:
    """Show the fix between two stages, in colour on a terminal."""
    from stages.lab.cli import listing

    listing.diff(old, new)


@app.command()
def exercise(
    number: Number,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Begin anew; the file that is there gets another name."),
    ] = False,
) -> None:
    """Put the previous stage into work/, with the task above it, for you to build."""
    from stages.lab.cli import exercise

    raise typer.Exit(exercise.exercise(number, overwrite=overwrite))


@app.command()
def check(
    number: Number,
    probes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Probes. All up to it without.")
    ] = None,
) -> None:
    """Check the stage that you build in work/ by the probes up to it."""
    from stages.lab.cli import exercise

    raise typer.Exit(exercise.check(number, probes or []))


@app.command()
def progress(
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget what was right. Your files stay.")
    ] = False,
) -> None:
    """Show which exercises are right, and which one is next."""
    from stages.lab.cli import exercise

    raise typer.Exit(exercise.show_progress(reset=reset))


@app.command()
def upstream(
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="8001 unless given, or any free one when that is in use."),
    ] = None,
    host: Host = "127.0.0.1",
) -> None:
    """Run the scripted upstream alone."""
    from stages.lab.cli import run

    raise typer.Exit(run.upstream(host=host, port=port))


@app.command()
def doctor() -> None:
    """Say whether this machine is ready for the workshop, and what is missing."""
    from stages.lab.cli import doctor

    raise typer.Exit(doctor.doctor())


def main() -> None:
    """Run the command line. An error that a person can mend is told without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        console.tolerate(stream)
    try:
        app(prog_name=console.PYTHON)
    except ModuleNotFoundError as exc:
        told = console.missing_package(exc)
        if told is None:
            raise
        console.fail(told)
        sys.exit(console.DISAGREES)
    except Exception as exc:
        explained = console.explain(exc)
        if explained is None:
            raise
        code, told = explained
        console.fail(told)
        sys.exit(code)


if __name__ == "__main__":
    main()
