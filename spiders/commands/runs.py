"""`gigz run`."""

import typer

app = typer.Typer(help="One run of a spider.", no_args_is_help=True)


@app.callback()
def run() -> None:
    """One run of a spider."""
