"""`gigz monitors`."""

import typer

app = typer.Typer(help="What each run is measured by.", no_args_is_help=True)


@app.callback()
def monitors() -> None:
    """What each run is measured by."""
