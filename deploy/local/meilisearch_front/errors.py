"""Errors in Meilisearch's shape: {message, code, type, link}.

Source  meilisearch-types/src/error.rs, release 1.50: code, type and HTTP status of each error.
"""

from typing import Any

_STATUS = {
    "missing_authorization_header": 401,
    "invalid_api_key": 403,
    "document_not_found": 404,
    "index_not_found": 404,
    "task_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "index_already_exists": 409,
    "payload_too_large": 413,
    "invalid_content_type": 415,
    "missing_content_type": 415,
    "internal": 500,
}
"""HTTP status by code; every other code is 400."""

_TYPE = {"missing_authorization_header": "auth", "invalid_api_key": "auth", "internal": "internal"}


class ApiError(Exception):
    """A refused request or a failed task."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return _STATUS.get(self.code, 400)

    def body(self) -> dict[str, Any]:
        """The error as clients read it, in an answer or in a task."""
        return {
            "message": self.message,
            "code": self.code,
            "type": _TYPE.get(self.code, "invalid_request"),
            "link": f"https://docs.meilisearch.com/errors#{self.code}",
        }


def not_served(what: str) -> ApiError:
    """Meilisearch has it, this front does not."""
    return ApiError(
        "feature_not_enabled",
        f"{what} is not served by this local front over tantivy. Remedy: point GIGZ_MEILISEARCH_URL at a real server.",
    )


def index_not_found(uid: str) -> ApiError:
    """No index of that name."""
    return ApiError("index_not_found", f"Index `{uid}` not found.")
