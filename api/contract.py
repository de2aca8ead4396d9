"""docs/api/openapi.json: the document of an application that reaches no store, the same on every machine."""

import asyncio
import tempfile
from pathlib import Path

from api import openapi
from api.app import create_app
from deploy.settings import load

NOWHERE = {
    "environment": "development",
    "jwt_secret": "-" * 32,
    "postgres_url": "postgresql://nobody@127.0.0.1:1/none",
    "cors_origins": "",
}


def contract_text() -> str:
    """The content of the file. Opens no socket, and leaves no file behind."""
    with tempfile.TemporaryDirectory() as home:
        app = create_app(load({"home": Path(home), **NOWHERE}), rate_limits=False)
        try:
            return openapi.text(app)
        finally:
            asyncio.run(app.state.services.close())
