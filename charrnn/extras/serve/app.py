"""The routes of the server."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import Scope

from charrnn import __version__
from charrnn.errors import InputError, did_you_mean, short
from charrnn.extras.serve.completions import Answer
from charrnn.extras.serve.limits import LimitRequests
from charrnn.extras.serve.protocol import (
    CompletionRequest,
    JSONAnswer,
    Refusal,
    TextRequest,
    error_answer,
)
from charrnn.extras.serve.scheduler import Outbox
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import Served
from charrnn.options.sampling import SamplingParams
from charrnn.say import say
from charrnn.text.prompt import replacements

PAGE = Path(__file__).parents[1] / "page" / "site"
# The page is made of files of this folder, and speaks with this server alone.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"description": "an error as OpenAI tells it"}}
_BEARER = HTTPBearer(auto_error=False, description="needed where the server has a token")


async def _authorize(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> None:
    if (token := request.app.state.options.token) is None:
        return
    # a header is bytes, which come as latin-1
    sent = given.credentials.encode("latin-1") if given else b""
    if not hmac.compare_digest(sent, token.encode("utf-8", "surrogateescape")):
        raise Refusal(401, "this server asks for a token: Authorization: Bearer TOKEN")


routes = APIRouter(dependencies=[Depends(_authorize)], responses=_ERRORS, tags=["completions"])


def _named(request: Request, name: str | None) -> Served:
    """The model of a name; None: the first."""
    models: dict[str, Served] = request.app.state.models
    if name is None:
        return next(iter(models.values()))
    if name not in models:
        message = f"there is no model {short(name)!r} here; there is {', '.join(models)}"
        raise Refusal(404, message, param="model", code="model_not_found")
    return models[name]


@routes.get("/v1/models")
async def list_models(request: Request) -> Response:
    """The models that write here, and the defaults of `charrnn sample` for a page."""
    cards = [served.card() for served in request.app.state.models.values()]
    return JSONAnswer({"object": "list", "data": cards, "sampling": asdict(SamplingParams())})


@routes.get("/v1/models/{name:path}")
async def one_model(request: Request, name: str) -> Response:
    """One of the models."""
    return JSONAnswer(_named(request, name).card())


async def _answer(request: Request, body: CompletionRequest) -> AsyncIterator[Answer]:
    """What is begun; its places are free again when it is sent, or the client leaves."""
    served = _named(request, body.model)
    with contextlib.closing(Answer(body, served, request.app.state.options)) as answer:
        yield answer


@routes.post("/v1/completions")
async def completions(answer: Annotated[Answer, Depends(_answer)]) -> Response:
    """Go on from a prompt.

    With `stream` the answer is server-sent events, each a part of it, and then `[DONE]`.
    """
    if not answer.is_stream:
        return JSONAnswer(await answer.whole())
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(answer.events(), headers=headers, media_type="text/event-stream")


async def _compared_with(request: Request, body: TextRequest) -> Served:
    most = request.app.state.options.max_prompt
    if len(body.text) > most:
        raise InputError(f"text: has more than the {most:,} characters that are looked at")
    return _named(request, body.model)


Compared = Annotated[Served, Depends(_compared_with)]


@routes.post("/v1/copied")
def copied(served: Compared, body: TextRequest) -> Response:
    """Which passages of a text stand in the training text, as ranges of its characters.

    404 where the training text is not at hand.
    """
    return JSONAnswer({"ranges": served.copied(body.text)})


@routes.post("/v1/lines")
def lines(served: Compared, body: TextRequest) -> Response:
    """Which lines of a text are lines of the training text, as their numbers from 0.

    404 where the training text is not at hand.
    """
    return JSONAnswer({"lines": served.lines(body.text)})


@routes.post("/v1/read_as")
def characters_read_as(served: Compared, body: TextRequest) -> Response:
    """What is read in place of the characters of a text that a model does not know."""
    return JSONAnswer({"read_as": replacements(body.text, served.vocabulary, served.unknown)})


async def health() -> dict[str, str]:
    """Answers as long as the server takes requests."""
    return {"status": "ok"}


def make_app(
    models: dict[str, Served],
    options: ServeOptions,
    *,
    address: str,
    is_local: bool,
) -> FastAPI:
    """The ASGI application.

    Args:
        models: name -> model; the first is the one that is asked when none is named.
        address: at which it is served.
        is_local: only this machine reaches it, so that it needs no name that others could have.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()

        def post(outbox: Outbox) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(_deliver, outbox)

        for served in models.values():
            served.scheduler.start(post)
        say(f"serving {', '.join(models)} at {address}")
        yield {"connections": {}, "options": options}
        for served in models.values():
            served.scheduler.stop()

    app = FastAPIOffline(
        redoc_url=None,
        title="charrnn",
        version=__version__,
        description="Completions of texts by character-level recurrent networks.",
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _refuse,
            RequestValidationError: _refuse_values,
            InputError: _refuse_input,
            Exception: _tell_fault,
        },
    )
    app.state.models, app.state.options = models, options
    app.include_router(routes)
    app.get("/health", tags=["server"])(health)
    if cors := options.cors or []:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # OpenAI's client in a browser sends a dozen of its own
        )
    if is_local and "*" not in cors:
        # A page from elsewhere whose name was made to mean 127.0.0.1 after it was loaded (DNS
        # rebinding) is this server's own to a browser; only `Host` shows it.
        own = [urlsplit(origin).hostname or "" for origin in cors if origin.startswith("http")]
        own = [f"[{name}]" if ":" in name else name for name in (options.host, *own)]
        hosts = ["localhost", "127.0.0.1", "[::1]", *own]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    app.add_middleware(LimitRequests, options=options)
    if PAGE.is_dir():  # it is another extra's
        # in a folder of its own: what is mounted at / would answer every wrong method of a route
        app.mount("/page", _Page(directory=PAGE))
        app.add_route("/", _first_page, include_in_schema=False)
    return app


def _deliver(outbox: Outbox) -> None:
    for job, event in outbox:
        job.receive(event)


async def _first_page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


class _Page(StaticFiles):
    """The page at /, which no other page can frame and which loads nothing from elsewhere."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response


# Every error in the same shape


async def _refuse(request: Request, error: Any) -> Response:
    if error.status_code == 404 and not isinstance(error, Refusal):
        hint = "there is no such route, nor any chat; POST /v1/completions goes on with a prompt"
        error = Refusal(404, f"{short(request.url.path)}: {hint}, and /docs shows the rest")
    return error_answer(error)


async def _refuse_input(request: Request, error: Any) -> Response:
    # the line begins with the name of what is wrong
    return error_answer(Refusal(400, str(error), param=re.split("[=:]", str(error))[0]))


async def _refuse_values(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    # after the place of the whole stands the option, or the byte at which JSON breaks off;
    # what follows names types of pydantic's
    param = next((part for part in first["loc"][1:2] if isinstance(part, str)), None)
    message = first["msg"]
    if isinstance(error.body, bytes):  # what is not called JSON, which another site's page may send
        message = "send JSON, with Content-Type: application/json"
    elif first["type"] == "extra_forbidden":
        hint = did_you_mean(str(param), CompletionRequest.model_fields, "; /docs lists them")
        message = f"there is no such field{hint}"
    return error_answer(Refusal(400, f"{short(param or 'body')}: {message}", param=param))


async def _tell_fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("a fault of the server", exc_info=error)
    return error_answer(Refusal(500, "this is a fault of the server; its log says more"))
