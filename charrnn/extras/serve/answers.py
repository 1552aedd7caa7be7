"""Answers as JSON, and errors in the shape that OpenAI's clients read."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

# What kind of error a status is; others below 500 are invalid requests
_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        param: the part of the request that is wrong.
        code: a word for programs, where there is a usual one.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        kind = _TYPES.get(self.status) or (
            "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {
            "error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        }

    def response(self) -> Response:
        """As an answer of its status."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (429, 503):
            headers["Retry-After"] = "1"
        return answer(self.body(), self.status, headers)


def refused(status: int, message: str) -> Response:
    """An error as an answer."""
    return Refusal(status, message).response()


def written(value: Any) -> bytes:
    """A value as JSON in ASCII, so that lone surrogates, which have no UTF-8, can be told."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as a JSON answer."""
    return Response(written(value), status, headers, "application/json")
