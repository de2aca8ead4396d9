"""ClickHouse's errors as its HTTP interface gives them: a code, a text that ends in the code's name, an HTTP status.

Source of the statuses: ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
"""

import re

_NAMES = {
    400: "BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING"
    " CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING"
    " CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6 CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN"
    " ILLEGAL_COLUMN UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST"
    " UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED ACCESS_DENIED",
    404: "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE"
    " UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT"
    " UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY",
    408: "TIMEOUT_EXCEEDED",
    413: "QUERY_IS_TOO_LARGE",
    501: "NOT_IMPLEMENTED",
    503: "CANNOT_OPEN_FILE SOCKET_TIMEOUT CANNOT_SCHEDULE_TASK",
}
_STATUS = {name: status for status, names in _NAMES.items() for name in names.split()}

# What chDB says: "Code: 60. DB::Exception: ... (UNKNOWN_TABLE)", at times with the version behind it, at times after
# words of its own, at times once more as the text of an outer error of the same form.
_ENGINE_ERROR = re.compile(
    r"Code: (\d+)\. DB::Exception: (?!Code: \d+\.)(.*?) \((\w+)\)(?: \(version [\d.]+\).*)?\s*$", re.S
)


class ServerError(Exception):
    """An error as a server words it: `code` and `name` of ClickHouse's list, `status` of HTTP."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text} ({name})")
        self.code = code
        self.name = name
        self.status = _STATUS.get(name, 500)


def not_implemented(what: str) -> ServerError:
    """Refuse what only a real server does."""
    return ServerError(
        48, "NOT_IMPLEMENTED", f"The local ClickHouse front does not serve {what}; a ClickHouse server does."
    )


def syntax_error(text: str) -> ServerError:
    """Refuse what is no single statement."""
    return ServerError(62, "SYNTAX_ERROR", f"Syntax error: {text}.")


def from_engine(message: str) -> ServerError:
    """What chDB raised, in a server's words."""
    found = _ENGINE_ERROR.search(message)
    if found is None:
        return ServerError(1002, "UNKNOWN_EXCEPTION", message)
    code, text, name = found.groups()
    return ServerError(int(code), name, text)
