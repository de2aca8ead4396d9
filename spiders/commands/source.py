"""`gigz spider`."""

import typer

app = typer.Typer(help="Write a new source, or try an address.", no_args_is_help=True)


@app.callback()
def spider() -> None:
    """Write a new source, or try an address."""
