"""`make words`: texts of the pages, out of templates and code, into the catalogues; and which are not translated.

python -m tests.words            writes new texts into every catalogue
python -m tests.words --check    only tells what is missing, and ends with 1 when something is
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from api.pages.words import CATALOGUES

API = CATALOGUES.parent.parent
KEYWORDS = {**DEFAULT_KEYWORDS, "_": None, "marked": None, "ngettext": (1, 2)}
METHODS = [("pages/**.py", "python"), ("verdicts.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false"}}


def texts() -> Catalog:
    """Every text of the pages, with where it stands."""
    found = Catalog()
    for name, line, text, comments, context in extract_from_dir(
        str(API), METHODS, OPTIONS, keywords=KEYWORDS, comment_tags=("words:",)
    ):
        found.add(text, None, [(f"api/{name}", line)], auto_comments=comments, context=context)
    return found


def lacking(path: Path) -> Iterator[str]:
    """What a catalogue does not say, says doubtfully, or says with other values than the text has."""
    with path.open("rb") as file:
        known = read_po(file, locale=path.stem)
    for message in texts():
        if message.id:
            said = known.get(message.id, message.context)
            yield from _wrong(message, said)


def _wrong(message: Message, said: Message | None) -> Iterator[str]:
    place = f"{message.locations[0][0]}:{message.locations[0][1]}"
    strings = [] if said is None else [said.string] if isinstance(said.string, str) else list(said.string)
    if said is None or not strings or not all(strings):
        yield f"{place}: {message.id!r} is not translated"
        return
    if said.fuzzy:
        yield f"{place}: {message.id!r} is marked as doubtful"
    for error in said.check():
        yield f"{place}: {message.id!r}: {error}"


def update(path: Path) -> None:
    """New texts into the catalogue; those that are gone, out of it."""
    with path.open("rb") as file:
        known = read_po(file, locale=path.stem)
    known.update(texts(), no_fuzzy_matching=True)
    known.obsolete.clear()
    out = io.BytesIO()
    write_po(out, known, width=120, sort_output=True, no_location=True, omit_header=False)
    path.write_bytes(out.getvalue())


def main(check: bool) -> int:
    """Both, for every catalogue; how many texts are missing decides how it ends."""
    missing = 0
    for path in sorted(CATALOGUES.glob("*.po")):
        if not check:
            update(path)
        for told in lacking(path):
            missing += 1
            print(f"{path.stem}: {told}")
    print(f"{missing} to be translated" if missing else "every text is translated")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
