"""`gigz schedule`."""

import typer

app = typer.Typer(help="Schedules of spiders: when which one runs.", no_args_is_help=True)


@app.callback()
def schedule() -> None:
    """Schedules of spiders: when which one runs."""
