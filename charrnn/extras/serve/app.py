"""The routes of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from charrnn.errors import InputError, RunError, shorten, suggest_name
from charrnn.extras.page.packing import pack_file
from charrnn.extras.page.writing_page import make_served_page
from charrnn.extras.serve.access import Guard, make_error_response, require_loopback
from charrnn.extras.serve.completion_request import CompletionRequest
from charrnn.extras.serve.completions import Completions, take_turns
from charrnn.extras.serve.served_models import find_named, list_models, open_sampler
from charrnn.extras.serve.trainings import TrainingRequest, Trainings


def make_app(
    models: Path | None,
    trainings: Trainings | None,
    names: Collection[str],
    origins: Collection[str],
) -> FastAPI:
    """Return the ASGI application.

    Args:
        models: see `list_models`.
        trainings: None: the server trains no networks.
        names, origins: see `Guard`.
    """
    known = (HTTPException, RequestValidationError, InputError, RunError, Exception)
    app = FastAPI(openapi_url=None, exception_handlers=dict.fromkeys(known, _refuse))
    app.include_router(_make_routes(models))
    if trainings is not None:
        app.include_router(_make_training_routes(trainings))
    app.add_middleware(
        CORSMiddleware, allow_origins=[*origins], allow_methods=["*"], allow_headers=["*"]
    )
    app.add_middleware(Guard, names=names, origins=origins)  # the outermost
    return app


def _make_routes(models: Path | None) -> APIRouter:
    routes, turn = APIRouter(), asyncio.Lock()

    @routes.get("/")
    def send_page() -> Response:
        # The page contains a policy for its content.
        return HTMLResponse(
            make_served_page(), headers={"Content-Security-Policy": "frame-ancestors 'none'"}
        )

    @routes.get("/v1/models")
    def show_models() -> Response:
        data = [
            {
                "id": name,
                "object": "model",
                "created": int(file.stat().st_mtime),
                "owned_by": "charrnn",
                "file": f"models/{quote(name, safe='')}",
            }
            for name, file in list_models(models).items()
        ]
        return JSONResponse({"object": "list", "data": data})

    @routes.get("/models/{name:path}")
    def send_model(name: str) -> Response:
        _, file = find_named(list_models(models), name)
        return Response(_pack(file, file.stat().st_mtime_ns), media_type="application/octet-stream")

    @routes.post("/v1/completions")
    async def complete(request: Request, body: CompletionRequest) -> Response:
        completions = await run_in_threadpool(_begin, body, models)
        choices = take_turns(completions.write(), turn)
        if body.stream:
            events = completions.stream(choices)
            return StreamingResponse(events, media_type="text/event-stream")
        return JSONResponse(await completions.collect(choices, request.is_disconnected))

    return routes


@lru_cache(maxsize=8)
def _pack(file: Path, time: int) -> bytes:
    return pack_file(file)


def _begin(request: CompletionRequest, models: Path | None) -> Completions:
    name, file = find_named(list_models(models), request.model)
    return Completions(open_sampler(file, request.plain), request, name)


def _make_training_routes(trainings: Trainings) -> APIRouter:
    routes = APIRouter(prefix="/v1/trainings", dependencies=[Depends(require_loopback)])
    routes.get("")(trainings.list_all)
    routes.post("")(trainings.add)
    routes.post("/{id_}/stop")(trainings.stop)
    routes.delete("/{id_}")(trainings.remove)
    return routes


async def _refuse(request: Request, error: Any) -> Response:
    """Return the response to an exception. uvicorn prints those that are no error of a client."""
    if isinstance(error, RequestValidationError):
        return make_error_response(400, _explain(error))
    if isinstance(error, InputError | RunError):
        return make_error_response(400 if isinstance(error, InputError) else 500, str(error))
    if not isinstance(error, HTTPException):
        return make_error_response(500, "a fault of the server, which prints it")
    message = error.detail
    if message == "Not Found":  # Starlette's, for an unknown path
        message = f"{shorten(request.url.path)}: no such route; POST /v1/completions has no chat"
    return make_error_response(error.status_code, message)


def _explain(error: RequestValidationError) -> str:
    """Return the first mistake in a body, after the name of its field."""
    first = error.errors()[0]
    # loc is ("body", field, pydantic's types ...), or ("body",) for the body as a whole.
    param = next((part for part in first["loc"][1:2] if isinstance(part, str)), "body")
    message = first["msg"]
    if isinstance(error.body, bytes):  # as in a form of another website
        message = "send JSON, with Content-Type: application/json"
    elif first["type"] == "extra_forbidden":
        known = (*CompletionRequest.model_fields, *TrainingRequest.model_fields)
        message = f"there is no such field{suggest_name(param, known)}"
    return f"{shorten(param)}: {message}"
