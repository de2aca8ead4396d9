"""The filter language: `year >= 1972 AND (country = US OR NOT venue EXISTS)`.

    expression = and ("OR" and)*            value = word | 'quoted' | "quoted"
    and        = not ("AND" not)*           word  = letters, digits, _ - .
    not        = "NOT" not | "(" expression ")" | condition
    condition  = value (= | != | > | >= | < | <=) value | value TO-range | value [NOT] IN "[" values "]"
               | value [NOT] EXISTS | value IS [NOT] (NULL | EMPTY) | value [NOT] STARTS WITH value

Source  grammar, keywords and errors of meilisearch's filter-parser crate, release 1.50. Keywords are upper case.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from deploy.local.meilisearch_front.errors import ApiError, not_served

MAX_DEPTH = 200
"""Nested parentheses and NOTs, as in Meilisearch's parser."""

_WORD = re.compile(r"[\w.-]+")
_OPERATOR = re.compile(r"!=|>=|<=|=|>|<")
_SPACE = re.compile(r"\s*")
_KEYWORDS = frozenset(("AND", "OR", "IN", "NOT", "TO", "EXISTS", "IS", "NULL", "EMPTY", "CONTAINS", "STARTS", "WITH"))
_PRESENCE = (
    ("exists", ("EXISTS",), ("NOT", "EXISTS")),
    ("null", ("IS", "NULL"), ("IS", "NOT", "NULL")),
    ("empty", ("IS", "EMPTY"), ("IS", "NOT", "EMPTY")),
)
_EXPECTED = (
    "Was expecting an operation `=`, `!=`, `>=`, `>`, `<=`, `<`, `IN`, `NOT IN`, `TO`, `EXISTS`, `NOT EXISTS`, "
    "`IS NULL`, `IS NOT NULL`, `IS EMPTY`, `IS NOT EMPTY`, `STARTS WITH` or `NOT STARTS WITH`"
)


class FilterSyntaxError(ValueError):
    """The filter cannot be read; the message names the place."""


@dataclass(frozen=True)
class Compare:
    """attribute operator value; the operator is one of = != > >= < <= or STARTS WITH."""

    attribute: str
    operator: str
    value: str


@dataclass(frozen=True)
class Between:
    """low <= attribute <= high."""

    attribute: str
    low: str
    high: str


@dataclass(frozen=True)
class In:
    """attribute equals one of the values."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Has:
    """attribute EXISTS, IS NULL or IS EMPTY: `what` is exists, null or empty."""

    attribute: str
    what: str


@dataclass(frozen=True)
class Not:
    """Everything but these."""

    operand: "Filter"


@dataclass(frozen=True)
class And:
    """All of them."""

    operands: tuple["Filter", ...]


@dataclass(frozen=True)
class Or:
    """Any of them."""

    operands: tuple["Filter", ...]


Filter: TypeAlias = Compare | Between | In | Has | Not | And | Or


def parse(value: Any, code: str = "invalid_search_filter") -> Filter | None:
    """A filter as clients send it: an expression, or a list joined by AND whose inner lists are joined by OR.

    None when it says nothing. ApiError with the code when it cannot be read.
    """
    try:
        return _parse_json(value)
    except FilterSyntaxError as error:
        raise ApiError(code, str(error)) from error


def _parse_json(value: Any) -> Filter | None:
    if isinstance(value, str):
        return parse_expression(value)
    if not isinstance(value, list):
        raise FilterSyntaxError(f"Invalid type for filter subexpression: expected: String, Array, found: {value!r}.")
    parts: list[Filter] = []
    for item in value:
        if isinstance(item, str):
            part = parse_expression(item)
        elif isinstance(item, list) and all(isinstance(inner, str) for inner in item):
            part = _join(Or, [p for inner in item if (p := parse_expression(inner)) is not None])
        else:
            raise FilterSyntaxError(
                f"Invalid type for filter subexpression: expected: String, [String], found: {item!r}."
            )
        if part is not None:
            parts.append(part)
    return _join(And, parts)


def _join(kind: type[And] | type[Or], parts: Sequence[Filter]) -> Filter | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def parse_expression(text: str) -> Filter | None:
    """One expression; None when it is blank. FilterSyntaxError names the place."""
    if not text.strip():
        return None
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.skip()
    if parser.at < len(text):
        raise parser.error(
            f"Found unexpected characters at the end of the filter: `{text[parser.at :]}`. "
            "You probably forgot an `OR` or an `AND` rule."
        )
    return tree


def attributes(tree: Filter) -> Iterator[str]:
    """Every attribute the filter names."""
    if isinstance(tree, Not):
        yield from attributes(tree.operand)
    elif isinstance(tree, And | Or):
        for operand in tree.operands:
            yield from attributes(operand)
    else:
        yield tree.attribute


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, message: str) -> FilterSyntaxError:
        return FilterSyntaxError(f"{message}\n{self.at + 1}:{len(self.text) + 1} {self.text}")

    def skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def keyword(self, *names: str) -> bool:
        """Take the keywords when they come next, each a whole word."""
        before = self.at
        for name in names:
            self.skip()
            word = _WORD.match(self.text, self.at)
            if word is None or word.group() != name:
                self.at = before
                return False
            self.at = word.end()
        return True

    def symbol(self, character: str) -> bool:
        self.skip()
        if self.text.startswith(character, self.at):
            self.at += len(character)
            return True
        return False

    def expression(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.error("The filter exceeded the maximum depth limit. Write it with fewer nested conditions.")
        operands = [self.conjunction(depth)]
        while self.keyword("OR"):
            operands.append(self.conjunction(depth))
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def conjunction(self, depth: int) -> Filter:
        operands = [self.negation(depth)]
        while self.keyword("AND"):
            operands.append(self.negation(depth))
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def negation(self, depth: int) -> Filter:
        if self.keyword("NOT"):
            if depth > MAX_DEPTH:
                raise self.error("The filter exceeded the maximum depth limit. Write it with fewer nested conditions.")
            return Not(self.negation(depth + 1))
        if self.symbol("("):
            tree = self.expression(depth + 1)
            if not self.symbol(")"):
                raise self.error("The expression is missing the following closing delimiter: `)`.")
            return tree
        return self.condition()

    def condition(self) -> Filter:
        self.skip()
        if self.text.startswith("_geo", self.at) or self.text.startswith("_vectors", self.at):
            raise not_served("Filtering by `_geo` or `_vectors`")
        attribute = self.value()
        self.skip()
        operator = _OPERATOR.match(self.text, self.at)
        if operator is not None:
            self.at = operator.end()
            return Compare(attribute, operator.group(), self.value())
        if self.keyword("NOT", "IN"):
            return Not(In(attribute, self.values()))
        if self.keyword("IN"):
            return In(attribute, self.values())
        for what, plain, negated in _PRESENCE:
            if self.keyword(*plain):
                return Has(attribute, what)
            if self.keyword(*negated):
                return Not(Has(attribute, what))
        if self.keyword("STARTS", "WITH"):
            return Compare(attribute, "STARTS WITH", self.value())
        if self.keyword("NOT", "STARTS", "WITH"):
            return Not(Compare(attribute, "STARTS WITH", self.value()))
        if self.keyword("CONTAINS") or self.keyword("NOT", "CONTAINS"):
            raise not_served("The filter operator CONTAINS")
        return self.between(attribute)

    def between(self, attribute: str) -> Filter:
        before = self.at
        self.skip()
        rest = self.text[self.at :]
        try:
            low = self.value()
            if self.keyword("TO"):
                return Between(attribute, low, self.value())
        except FilterSyntaxError:
            pass
        self.at = before
        raise self.error(f"{_EXPECTED} {f'at `{attribute} {rest}`.' if rest else 'but instead got nothing.'}")

    def values(self) -> tuple[str, ...]:
        if not self.symbol("["):
            raise self.error("Expected `[` after `IN` keyword.")
        found: list[str] = []
        while not self.symbol("]"):
            found.append(self.value())
            if not self.symbol(",") and not self.text.startswith("]", self.at):
                raise self.error("Expected matching `]` after the list of field names given to `IN[`")
        return tuple(found)

    def value(self) -> str:
        self.skip()
        quote = self.text[self.at : self.at + 1]
        if quote in ("'", '"'):
            return self.quoted(quote)
        word = _WORD.match(self.text, self.at)
        if word is None:
            rest = re.split(r"[\s()=<>!]", self.text[self.at :], maxsplit=1)[0]
            raise self.error(f"Was expecting a value but instead got {f'`{rest}`' if rest else 'nothing'}.")
        if word.group() in _KEYWORDS:
            raise self.error(
                f"Was expecting a value but instead got `{word.group()}`, which is a reserved keyword. "
                f"To use `{word.group()}` as a field name or a value, surround it by quotes."
            )
        self.at = word.end()
        return word.group()

    def quoted(self, quote: str) -> str:
        characters: list[str] = []
        position = self.at + 1
        while position < len(self.text):
            character = self.text[position]
            if character == quote:
                self.at = position + 1
                return "".join(characters)
            if character == "\\" and position + 1 < len(self.text):
                position += 1
                character = self.text[position]
            characters.append(character)
            position += 1
        raise self.error(f"Expression `{self.text[self.at :]}` is missing the following closing delimiter: `{quote}`.")
