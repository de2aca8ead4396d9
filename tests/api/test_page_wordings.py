"""Whatever a reader of imports can say, a page says in its own words: read out of the readers' code."""

import ast
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from api.imports.shapes import Code, Field, Format, Reason, Standing
from api.pages import wordings
from api.pages.wordings import REMEDY, SENTENCES, order_told, tell, told
from api.pages.words import night, spoken
from matchers.columns import column_order
from matchers.dates import impossible
from schemas.suggestion import Nothing
from schemas.tables import ImportState

API = Path(wordings.__file__).parents[1]
READERS = [path for path in sorted((API / "imports").glob("*.py")) if path.name != "commands.py"]
UPLOADS = [API / "importing" / "runs.py", API / "importing" / "uploads.py"]
ANY, QUOTED = "‹›", "‹!r›"
COMPOSED = {f"setlist.fm {ANY}", f"{ANY} is {ANY}", ANY, "The request is not valid."}
"""What is composed of texts that are found by themselves; and what stands before details, which are shown instead."""


class Walk(ast.NodeVisitor):
    """The sentences of a module: what its errors, faults, doubts and reasons are made of; a value is ANY or QUOTED."""

    def __init__(self, module: ast.Module) -> None:
        self.scopes: list[ast.AST] = [module]
        self.found: set[str] = set()
        self.visit(module)

    def add(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.found |= {part for part in text.partition(REMEDY)[::2] if part}

    def values(self, name: str) -> list[ast.expr]:
        """What a name stands for in the innermost scope that gives it one."""
        for scope in reversed(self.scopes):
            given = [
                value
                for one in ast.walk(scope)
                if isinstance(one, ast.Assign)
                for target in one.targets
                for place, value in _pairs(target, one.value)
                if isinstance(place, ast.Name) and place.id == name
            ]
            if given:
                return given
        return []

    def says(self, node: ast.expr) -> list[str]:
        """All that an expression can come to."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.JoinedStr):
            return ["".join(parts) for parts in product(*map(self.part, node.values))]
        if isinstance(node, ast.BinOp):
            return [one + other for one in self.says(node.left) for other in self.says(node.right)]
        if isinstance(node, ast.IfExp):
            return self.says(node.body) + self.says(node.orelse)
        if isinstance(node, ast.BoolOp):
            return [text for one in node.values for text in self.says(one)]
        if isinstance(node, ast.Name):
            return [text for one in self.values(node.id) for text in self.says(one)]
        return []

    def part(self, node: ast.expr) -> list[str]:
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        assert isinstance(node, ast.FormattedValue)
        if node.conversion == ord("r"):
            return [QUOTED]
        if isinstance(node.value, ast.Name):
            given = [one for value in self.values(node.value.id) for one in _branches(value)]
            if given and all(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in given):
                return [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return [ANY]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        match called, node.args:
            case "Fault", [_, text, remedy]:
                self.add([*self.says(text), *self.says(remedy)])
            case (("ImportFailed" | "_invalid"), [_, text]):
                self.add(self.says(text))
            case "InvalidError", [text, *_]:
                self.add(self.says(text))
            case "_away", [what, remedy]:
                self.add([*(f"setlist.fm {one}" for one in self.says(what)), *self.says(remedy)])
            case "_broken", [_, _, why]:
                self.add(f"the event cannot be read: {one}" for one in self.says(why))
            case "Choice", [_, _, why, _]:
                self.add(self.says(why))
            case "append", [text] if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "doubts":
                self.add(self.says(text))
            case "tell", [ast.Constant(value="failed"), ast.List(elts=[_, text])]:
                self.add(self.says(text))
        for keyword in node.keywords:
            if keyword.arg in ("why", "doubt"):
                self.add(self.says(keyword.value))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {getattr(target, "id", "") for target in node.targets}
        if "doubt" in names:
            self.add(self.says(node.value))
        if "_BINARY" in names and isinstance(node.value, ast.Dict):
            self.add(f"{ANY} is {one}" for value in node.value.values for one in self.says(value))
        if "_UNKNOWN" in names and isinstance(node.value, ast.Tuple):
            self.add(one for value in node.value.elts for one in self.says(value))
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "doubt":
                self.add(self.says(value))
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if getattr(self.scopes[-1], "name", "") == "_separator":
            for value in _branches(node.value) if node.value else ():
                if isinstance(value, ast.Tuple):
                    self.add(self.says(value.elts[1]))
        self.generic_visit(node)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _branches(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def shape(said: str) -> str:
    """A sentence of ours as the walk writes them."""
    parts = []
    for literal, name, _, conversion in Formatter().parse(said):
        parts += [literal, "" if name is None else QUOTED if conversion else ANY]
    return "".join(parts)


def said_by_readers() -> set[str]:
    found: set[str] = set()
    for path in (*READERS, *UPLOADS):
        found |= Walk(ast.parse(path.read_text())).found
    return found - COMPOSED


OF_DATES = {shape(said) for said, _ in SENTENCES if said.startswith("date: {written!r}")}
"""Of `matchers.dates.impossible`: tried below."""


def test_every_sentence_of_a_reader_has_words_and_none_is_left_of_one_that_is_gone() -> None:
    readers, ours = said_by_readers(), {shape(said) for said, _ in SENTENCES}
    assert len(readers) > 100
    assert len(ours) == len(SENTENCES), "one stands twice"
    assert readers - ours == set(), "Give them words in api/pages/wordings.py."
    assert ours - readers - OF_DATES == set(), "No reader says that any more: take it out of api/pages/wordings.py."


def test_a_new_sentence_of_a_reader_is_missed() -> None:
    told = Walk(
        ast.parse("def f(n):\n    text = f'it has {n} moons'\n    Fault(Reason.BROKEN, text, 'count them')\n")
    ).found
    assert told == {f"it has {ANY} moons", "count them"}
    assert not told & {shape(said) for said, _ in SENTENCES}


VALUES = {
    "": "<b>x</b>",
    "r": repr("it's <b>"),
    "n": "1,234",
    "p": "97%",
    "d": "2014-11-14",
    "ds": "2014-03-04 or 2014-04-03",
    "m": "2014-11-15 00:00",
    "w": "Friday",
    "f": "artist",
    "s": "its texts are years",
}


@pytest.mark.parametrize("said", [said for said, _ in SENTENCES])
def test_a_sentence_is_recognised_with_its_values_and_they_stay_text(said: str) -> None:
    one, page = wordings.sentence(said, ""), dict(SENTENCES)[said]
    text = "".join(
        literal + ("" if name is None else VALUES[one.kinds[name]]) for literal, name, _, _ in Formatter().parse(said)
    )
    first = next(known for known in wordings._SENTENCES if known.pattern.fullmatch(text))
    assert first.page == page, f"{text!r} is taken for {first.page!r}"
    shown = tell(text)
    assert "<b>" not in shown and "1,234,0" not in shown
    assert "%(" not in shown


def test_what_nobody_said_stays_as_it_is() -> None:
    assert tell("the moon is full") == "the moon is full"


def test_a_text_and_its_remedy_are_parted() -> None:
    shown = told("a.csv is larger than 50 MB, the most that one import may be. Remedy: divide the file")
    assert shown.text == "“a.csv” is larger than 50 MB, the most that one import may be."
    assert shown.remedy == "Divide the file."


def test_days_are_told_in_the_readers_language_and_cannot_be_confused() -> None:
    either = "'03/04/2001' could be 2001-03-04 or 2001-04-03"
    assert tell(either) == "“03/04/2001” could be Sunday, 4 March 2001 or Tuesday, 3 April 2001."
    with spoken("de-DE"):
        assert "Sonntag, 4. März 2001" in tell(either)
        wrong = "'Do 14.11.2014': the weekday is not that day's; 2014-11-14 is a Friday"
        assert "Freitag, 14. November 2014" in tell(wrong)


@pytest.mark.parametrize("text", ["31/02/2014", "2014-06-01/2014-05-01", "31 Feb 2014", "14.13.2014", "1.1.3099"])
def test_a_date_that_no_calendar_has_is_told(text: str) -> None:
    wrong = impossible(text)
    assert wrong is not None
    shown = tell(f"date: {wrong}")
    assert shown.startswith(f"“{text}”"), shown


def test_the_order_of_dates_is_told_from_its_counts() -> None:
    either = column_order(["05/06/2001", "06/07/2002"]).text
    assert "2 could be either" in order_told(either)
    first = column_order([f"{day}/06/2001" for day in range(10, 28)]).text
    assert "can only be day first" in order_told(first) and "could be either" in order_told(first)
    assert order_told(column_order([]).text) == "No date here needs an order."
    assert order_told("something else") == "something else"


def test_every_code_has_words() -> None:
    assert set(wordings.FIELDS) == set(Field)
    assert set(wordings.FORMATS) == set(Format)
    assert set(wordings.STATES) == set(ImportState)
    assert set(wordings.STANDINGS) == set(Standing)
    assert set(wordings.REASONS) == set(Reason)
    assert set(wordings.CODES) == set(Code)
    assert set(wordings.NOTHINGS) == set(Nothing)
    assert wordings.field_name(Field.WITH) and wordings.code_name("too_new") == "too_new"


def test_a_day_is_a_day() -> None:
    assert tell("'14/11/14' is not in the order of the other dates; it can only be 2014-11-14").endswith(
        f"{night(date(2014, 11, 14))}."
    )
