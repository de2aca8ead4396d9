"""`gigz wanted`."""

import typer

app = typer.Typer(help="Artists and years that users ask for and no source has told yet.", no_args_is_help=True)


@app.callback()
def wanted() -> None:
    """Artists and years that users ask for and no source has told yet."""
