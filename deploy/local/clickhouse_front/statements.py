"""The text of a request -> what to run: one statement, and for an INSERT the data behind it.

Only what decides how to run it is read (first words, FORMAT, VALUES, semicolons, outside of quotes, comments and
parentheses); everything else is the engine's to parse.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from deploy.local.clickhouse_front.errors import not_implemented, syntax_error

_TOKEN = re.compile(
    rb"""
      (?P<blank>  \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | `[^`\\]*(?:(?:\\.|``)[^`\\]*)*` | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*"
                | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word>   \w+ )
    | (?P<sign>   . )
    """,
    re.VERBOSE | re.DOTALL,
)

_BLANK_LINE = re.compile(rb"[ \t\f]*\r?\n?")

_ROWS = frozenset(
    ("SELECT", "WITH", "FROM", "(", "VALUES", "EXPLAIN", "DESCRIBE", "DESC", "SHOW", "EXISTS", "CHECK", "KILL")
)

# Statements whose effect would be lost, or would be another than a server's, as each request has its own connection
# to an engine without users, cluster and logs.
_REFUSED = re.compile(
    r"(?:SET|USE|BEGIN|START|COMMIT|ROLLBACK|GRANT|REVOKE|BACKUP|RESTORE|SYSTEM|WATCH|EXECUTE)\b"
    r"|(?:CREATE|ALTER|DROP)\ (?:OR\ REPLACE\ )?(?:TEMPORARY|USER|ROLE|QUOTA|ROW|POLICY|SETTINGS|NAMED)\b"
)

# Tables of other machines: one that does not answer would hold up everybody behind it.
_ELSEWHERE = (
    "URL",
    "URLCLUSTER",
    "S3",
    "S3CLUSTER",
    "REMOTE",
    "REMOTESECURE",
    "MYSQL",
    "POSTGRESQL",
    "MONGODB",
    "HDFS",
)

# Ways to files and programs of this machine, which a server keeps to a folder of its own, and to other machines.
_REFUSED_PAIRS = frozenset(
    (
        ("INTO", "OUTFILE"),
        ("FROM", "INFILE"),
        ("FILE", "("),
        ("FILECLUSTER", "("),
        ("EXECUTABLE", "("),
        ("PYTHON", "("),
        *((name, "(") for name in _ELSEWHERE),
    )
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without the data behind it. `input_format` is set when rows in that format follow."""

    sql: str
    returns_rows: bool
    output_format: str | None = None
    input_format: str | None = None
    data: bytes | memoryview = b""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str  # a word in capitals, a sign, or "'" for anything quoted
    end: int
    depth: int


def read_statement(request: bytes) -> Statement:
    """Request text -> statement. ServerError for none, for several, and for what the front refuses."""
    tokens: list[_Token] = []
    last = ""
    for token in _tokens(request):
        if last == ";" and token.text != ";":
            raise syntax_error("multi-statements are not allowed")
        if _names_data_format(tokens, token):
            return _insert(request, tokens, token)
        tokens.append(token)
        last = token.text
    words = [token.text for token in tokens if token.text != ";"]
    if not words:
        raise syntax_error("empty query")
    _refuse(words)
    insert = any(token.text == "INSERT" and not token.depth for token in tokens)
    if insert and ("INPUT", "(") in pairwise(words):
        raise not_implemented("INSERT ... SELECT FROM input()")
    return Statement(
        sql=_text(request),
        returns_rows=words[0] in _ROWS and not insert,
        output_format=None if insert else _output_format(request, tokens),
    )


def _tokens(request: bytes) -> Iterator[_Token]:
    depth = 0
    for found in _TOKEN.finditer(request):
        if found.lastgroup == "blank":
            continue
        text = found[0].decode("latin-1") if found.lastgroup in ("word", "sign") else "'"
        depth -= text == ")"
        yield _Token(text.upper(), found.end(), depth)
        depth += text == "("


def _names_data_format(before: list[_Token], token: _Token) -> bool:
    """Whether this is the name in INSERT ... FORMAT name."""
    return (
        len(before) > 2
        and before[0].text == "INSERT"
        and before[-1].text == "FORMAT"
        and before[-2].text not in ("INTO", "TABLE", ".")  # a table called format
        and before[-1].depth == 0
        and token.text.isidentifier()
        and not any(earlier.text in ("SELECT", "WITH", "VALUES") and not earlier.depth for earlier in before)
    )


def _insert(request: bytes, before: list[_Token], name: _Token) -> Statement:
    """Data start behind the format's name, its blanks and one line end."""
    _refuse([token.text for token in before])
    start = _BLANK_LINE.match(request, name.end)
    assert start is not None  # it matches the empty text
    if request[start.end() : start.end() + 9].upper() == b"SETTINGS ":
        raise not_implemented("SETTINGS behind the FORMAT of an INSERT (put them before it)")
    keyword = before[-1]
    return Statement(
        sql=_text(request[: keyword.end - len(keyword.text)]),
        returns_rows=False,
        input_format=request[keyword.end : name.end].strip().decode("latin-1"),
        data=memoryview(request)[start.end() :],
    )


def _output_format(request: bytes, tokens: list[_Token]) -> str | None:
    """The name in a closing FORMAT clause; only SETTINGS may stand behind it."""
    for keyword, name, behind in zip(tokens, tokens[1:], [*tokens[2:], None], strict=False):
        closing = behind is None or behind.text in (";", "SETTINGS")
        if keyword.text == "FORMAT" and not keyword.depth and name.text.isidentifier() and closing:
            return request[keyword.end : name.end].strip().decode("latin-1")
    return None


def _refuse(words: list[str]) -> None:
    head = " ".join(words[:4])
    if _REFUSED.match(head):
        raise not_implemented(f"the statement {head}")
    for first, second in pairwise(words):
        if (first, second) in _REFUSED_PAIRS:
            raise not_implemented(f"{first} {second}")


def _text(sql: bytes) -> str:
    try:
        return sql.decode()
    except UnicodeDecodeError as error:
        raise not_implemented(f"statements that are not UTF-8 (byte {error.start})") from error
