"""The routes of the server, and who may use them.

A website in a browser can send requests to a server on the same machine or network. The
headers of a browser tell which one does. `Origin` is the website whose page sends the request.
`Host` is the name in the address: a website can let its name mean 127.0.0.1 (DNS rebinding),
and its page then has the same origin as this server.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from charrnn.errors import InputError, shorten, suggest_name
from charrnn.extras.page.packing import pack_file
from charrnn.extras.page.writing_page import make_served_page
from charrnn.extras.serve.completions import CompletionRequest, Completions
from charrnn.extras.serve.served_models import find_named, list_models, open_sampler
from charrnn.extras.serve.trainings import Trainings

_TRAININGS = "/v1/trainings"  # the routes that are only for this machine
_LARGEST, _LARGEST_TEXT = 1_000_000, 20_000_000  # bytes of a request, of one for a training


def make_app(
    models: Path | None,
    trainings: Trainings | None,
    names: Collection[str],
    origins: Collection[str],
) -> ASGIApp:
    """Return the ASGI application.

    Args:
        models: see `list_models`.
        trainings: None: the server trains no networks.
        names, origins: see `_find_refusal`.
    """
    known = (HTTPException, RequestValidationError, InputError, Exception)
    app = FastAPI(openapi_url=None, exception_handlers=dict.fromkeys(known, _refuse))
    app.add_middleware(
        CORSMiddleware, allow_origins=[*origins], allow_methods=["*"], allow_headers=["*"]
    )

    @app.get("/")
    def send_page() -> Response:
        # The page contains a policy for its content.
        headers = {"Content-Security-Policy": "frame-ancestors 'none'"}
        return HTMLResponse(make_served_page(), headers=headers)

    @app.get("/v1/models")
    def show_models() -> Response:
        data = [
            {
                "id": name,
                "object": "model",
                "created": model.time_ns // 10**9,
                "owned_by": "charrnn",
                "file": f"models/{quote(name, safe='')}",
            }
            for name, model in list_models(models).items()
        ]
        return JSONResponse({"object": "list", "data": data})

    @app.get("/models/{name:path}")
    def send_model(name: str) -> Response:
        _, model = find_named(list_models(models), name)
        return Response(_pack(*model), media_type="application/octet-stream")

    @app.post("/v1/completions")
    async def complete(request: Request, body: CompletionRequest) -> Response:
        completions = await run_in_threadpool(_begin, body, models)
        if body.stream:
            return StreamingResponse(completions.stream(), media_type="text/event-stream")
        return JSONResponse(await completions.collect(request))

    if trainings is not None:
        app.get(_TRAININGS)(trainings.list_all)
        app.post(_TRAININGS)(trainings.add)
        app.post(_TRAININGS + "/{id_}/stop")(trainings.stop)
        app.delete(_TRAININGS + "/{id_}")(trainings.remove)

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _find_refusal(Request(scope), names, origins) if scope["type"] == "http" else None
        response = app if refusal is None else _make_error_response(*refusal)
        await response(scope, receive, send)

    return guard


def _find_refusal(
    request: Request, names: Collection[str], origins: Collection[str]
) -> tuple[int, str] | None:
    """Return the status and the message for a request that is refused, else None.

    Args:
        names: of hosts under which the server answers, besides IP addresses and localhost.
        origins: of other websites that may send requests. "null" are pages opened as files.
    """
    headers, is_training = request.headers, request.scope["path"].startswith(_TRAININGS)
    host, origin = headers.get("host", "").lower(), headers.get("origin")
    name = re.sub(r":\d*$", "", host)
    ip = _parse_ip("127.0.0.1" if name == "localhost" else name)
    if ip is None and name not in map(str.lower, names):
        hint = f"if it should be: charrnn serve names=[{shorten(name)}]"
        return 400, f"Host: {shorten(host)!r} is no name of this server; {hint}"
    # The server may be behind a proxy with TLS.
    is_own = origin is None or re.sub("^https?://", "", origin.lower()) == host
    if not is_own and origin not in origins:
        word = "file" if origin == "null" else shorten(origin)
        hint = f"if it may use this server: charrnn serve origins=[{word}]"
        return 403, f"Origin: {shorten(origin)!r} is another website; {hint}"
    if is_training and not (is_own and ip and ip.is_loopback):
        return 403, "trainings are only for the page on the machine of the server"
    largest = _LARGEST_TEXT if is_training else _LARGEST
    if "transfer-encoding" in headers or int(headers.get("content-length", 0)) > largest:
        return 413, f"Content-Length: must be given, and {largest:,} bytes at most"
    return None


def _parse_ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an IP address, which has brackets in a URL if it is IPv6; None for other names."""
    try:
        return ipaddress.ip_address(re.sub(r"^\[(.*:.*)\]$", r"\1", name))
    except ValueError:
        return None


@lru_cache(maxsize=8)
def _pack(file: Path, time_ns: int) -> bytes:
    return pack_file(file)


def _begin(request: CompletionRequest, models: Path | None) -> Completions:
    name, model = find_named(list_models(models), request.model)
    return Completions(open_sampler(*model), request, name)


async def _refuse(_: Request, error: Any) -> Response:
    """Return the response to an exception. uvicorn prints those that are no error of a client."""
    if isinstance(error, RequestValidationError):
        return _make_error_response(400, _explain(error))
    if isinstance(error, HTTPException):
        return _make_error_response(error.status_code, error.detail)
    if isinstance(error, InputError):
        return _make_error_response(400, str(error))
    return _make_error_response(500, "a fault of the server, which prints it")


def _explain(error: RequestValidationError) -> str:
    """Return the first mistake in a body, after the name of its field."""
    first = error.errors()[0]
    field, message = ".".join(map(str, first["loc"][1:])) or "body", first["msg"]
    if isinstance(error.body, bytes) or first["type"] == "json_invalid":  # as a website's form
        field, message = "body", "send JSON, with Content-Type: application/json"
    elif first["type"] == "extra_forbidden":
        message = f"there is no such field{suggest_name(field, CompletionRequest.model_fields)}"
    return f"{shorten(field)}: {message}"


def _make_error_response(status: int, message: str) -> JSONResponse:
    """Return an error in OpenAI's format."""
    message = message.encode("utf-8", "backslashreplace").decode()
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind}}, status)
