"""The routes of the server."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from charrnn import __version__
from charrnn.errors import short
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


class Server(NamedTuple):
    """What the routes work with."""

    models: dict[str, Served]
    options: ServeOptions

    def named(self, name: str | None) -> Served:
        """The model of a name; None: the first."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            message = f"there is no model {short(name)!r} here; there is {', '.join(self.models)}"
            raise Refusal(404, message, param="model", code="model_not_found")
        return self.models[name]


async def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


CurrentServer = Annotated[Server, Depends(_server)]


async def _authorize(
    server: CurrentServer, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> None:
    if (token := server.options.token) is None:
        return
    # a header is bytes, which come as latin-1
    sent = given.credentials.encode("latin-1") if given else b""
    if not hmac.compare_digest(sent, token.encode("utf-8", "surrogateescape")):
        raise Refusal(401, "this server asks for a token: Authorization: Bearer TOKEN")


async def _require_json(request: Request) -> None:
    # the page of another site may send any other type without asking whether it may (CORS)
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Refusal(400, "body: send JSON, with Content-Type: application/json")


routes = APIRouter(dependencies=[Depends(_authorize)], responses=_ERRORS, tags=["completions"])
_JSON = [Depends(_require_json)]


@routes.get("/v1/models")
async def list_models(server: CurrentServer) -> Response:
    """The models that write here, and the defaults of `charrnn sample` for a page."""
    cards = [served.card() for served in server.models.values()]
    return JSONAnswer({"object": "list", "data": cards, "sampling": asdict(SamplingParams())})


@routes.get("/v1/models/{name:path}")
async def one_model(server: CurrentServer, name: str) -> Response:
    """One of the models."""
    return JSONAnswer(server.named(name).card())


@routes.post("/v1/completions", dependencies=_JSON)
async def completions(server: CurrentServer, body: CompletionRequest, request: Request) -> Response:
    """Go on from a prompt.

    With `stream` the answer is server-sent events, each a part of it, and then `[DONE]`.
    """
    answer = Answer(body, server.named(body.model), server.options)
    if body.stream:
        return _EventStream(answer)
    return JSONAnswer(await _whole(answer, request))


async def _whole(answer: Answer, request: Request) -> dict[str, Any]:
    """The answer in one; its places are free again when the client leaves."""

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        answer.give_up(Refusal(499, "the client left"))  # as nginx calls it

    left = asyncio.create_task(leave())
    try:
        return await answer.whole()
    finally:
        left.cancel()
        answer.close()


class _EventStream(StreamingResponse):
    """An answer as server-sent events; its places are free again when the client leaves."""

    def __init__(self, answer: Answer) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(answer.events(), headers=headers, media_type="text/event-stream")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.close()


@routes.post("/v1/copied", dependencies=_JSON)
async def copied(server: CurrentServer, body: TextRequest) -> Response:
    """Which passages of a text stand in the training text, as ranges of its characters.

    404 where the training text is not at hand.
    """
    return JSONAnswer({"ranges": await _compared(server, body, Served.copied)})


@routes.post("/v1/lines", dependencies=_JSON)
async def lines(server: CurrentServer, body: TextRequest) -> Response:
    """Which lines of a text are lines of the training text, as their numbers from 0.

    404 where the training text is not at hand.
    """
    return JSONAnswer({"lines": await _compared(server, body, Served.lines)})


async def _compared(
    server: Server, body: TextRequest, look: Callable[[Served, str], list[Any]]
) -> list[Any]:
    most = server.options.max_prompt
    if len(body.text) > most:
        message = f"text: has more than the {most:,} characters that are looked at"
        raise Refusal(400, message, param="text")
    return await anyio.to_thread.run_sync(look, server.named(body.model), body.text)


@routes.post("/v1/read_as", dependencies=_JSON)
async def characters_read_as(server: CurrentServer, body: TextRequest) -> Response:
    """What is read in place of the characters of a text that a model does not know."""
    served = server.named(body.model)
    return JSONAnswer({"read_as": replacements(body.text, served.vocabulary, served.unknown)})


def make_app(
    models: dict[str, Served],
    options: ServeOptions,
    *,
    is_local: bool,
    started: Callable[[], None],
) -> FastAPI:
    """The ASGI application.

    Args:
        models: name -> model; the first is the one that is asked when none is named.
        is_local: only this machine reaches it, so that it needs no name that others could have.
        started: called when requests can be answered.
    """
    cors = options.cors or []

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()

        def post(outbox: Outbox) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(_deliver, outbox)

        for served in models.values():
            served.scheduler.start(post)
        started()
        yield {"connections": {}, "options": options}
        for served in models.values():
            served.scheduler.stop()

    app = FastAPIOffline(
        redoc_url=None,
        title="charrnn",
        version=__version__,
        description="Completions of texts by character-level recurrent networks.",
        lifespan=lifespan,
    )
    app.state.server = Server(models, options)
    app.include_router(routes)

    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Answers as long as the server takes requests."""
        return {"status": "ok"}

    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)
    app.add_exception_handler(Exception, _tell_fault)
    if cors:
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
        hint = "there is nothing here; /docs shows what there is"
        if "chat" in request.url.path:
            hint = (
                "these models go on with a text and know no chat; POST /v1/completions with a "
                "prompt"
            )
        error = Refusal(404, f"{short(request.url.path)}: {hint}")
    return error_answer(error)


async def _refuse_values(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    # after the place of the whole stands the option, or the byte at which JSON breaks off;
    # what follows names types of pydantic's
    param = next((part for part in first["loc"][1:2] if isinstance(part, str)), None)
    return error_answer(Refusal(400, f"{param or 'body'}: {first['msg']}", param=param))


async def _tell_fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("a fault of the server", exc_info=error)
    return error_answer(Refusal(500, "this is a fault of the server; its log says more"))
