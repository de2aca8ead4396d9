"""`make codegen`: a client of the API in Python, written from docs/api/openapi.json.

    python -m tests.codegen [FOLDER]

The package gigz_client comes to lie in FOLDER (.client). It is not committed: a hundred files that nobody reads would
have to be kept current, while the document that they come from is committed and compared. The tests write it anew and
use what came out, so what they try is what another team gets.
"""

import sys
from pathlib import Path

import openapi_python_client
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.support import ROOT

PACKAGE = "gigz_client"
OCTETS = "application/octet-stream"
DOCUMENT = ROOT / "docs" / "api" / "openapi.json"


def write_client(folder: Path) -> Path:
    """The package, written into this folder. RuntimeError says what of the document could not be understood."""
    folder.mkdir(parents=True, exist_ok=True)
    config = Config.from_sources(
        ConfigFile(
            literal_enums=True,  # DMY and dmy would be one name of an enum
            content_type_overrides={"text/csv": OCTETS, "text/plain": OCTETS},
            post_hooks=[f"{Path(sys.executable).parent / 'ruff'} format --quiet ."],
        ),
        MetaType.NONE,
        DOCUMENT,
        "utf-8",
        overwrite=True,
        output_path=folder / PACKAGE,
    )
    # A warning means that a route or a shape is missing from the client.
    problems = openapi_python_client.generate(config=config)
    if problems:
        raise RuntimeError("\n".join(f"{one.header}: {one.detail}" for one in problems))
    return folder / PACKAGE


if __name__ == "__main__":
    print(write_client(Path(sys.argv[1] if len(sys.argv) > 1 else ".client")))
