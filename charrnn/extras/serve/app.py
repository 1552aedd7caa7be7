"""The routes of the server."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from charrnn import __version__
from charrnn.errors import RunError, shown
from charrnn.extras.serve.completions import Answer, ClientLeft
from charrnn.extras.serve.copied_passages import Copies
from charrnn.extras.serve.limits import BodyLimit, HostCheck, Sites
from charrnn.extras.serve.protocol import (
    Completion,
    CompletionRequest,
    Copied,
    CopiedRequest,
    ErrorBody,
    Generated,
    ModelCard,
    ModelList,
    ReadAs,
    ReadAsRequest,
    Refusal,
    answer,
)
from charrnn.extras.serve.scheduler import Outbox
from charrnn.extras.serve.serve_options import Limits
from charrnn.extras.serve.served_models import HowToRead, Models
from charrnn.models.ensemble import Trained
from charrnn.text.unknown_characters import read_as

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
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 429, 500, 503)
}
_BEARER = HTTPBearer(auto_error=False, description="needed where the server has a token")
_SENTENCE_ENDS = [".", "!", "?"]


_AS_EVER = HowToRead()


def make_app(
    models: Mapping[str, Trained],
    limits: Limits,
    *,
    engine: str = "auto",
    precision: int = 32,
    reading: HowToRead = _AS_EVER,
    copies: Copies | None = None,
    token: str | None = None,
    cors: Sequence[str] = (),
    host: str | None = None,
    cache_bytes: int = 64 << 20,
    started: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The ASGI application.

    Args:
        models: name -> model; the first is the one that is asked when none is named.
        engine: auto, numpy, numba or torch.
        precision: bits of a weight, 32 or 8.
        reading: how prompts are read.
        copies: what tells what is copied from the training text; None: nothing does.
        token: what clients have to send as `Authorization: Bearer TOKEN`; None: nothing.
        cors: origins whose pages may ask beside this server's own.
        host: what a server that only this machine reaches is bound to: it is answered under no
            other name; None for one that others reach.
        cache_bytes: for the states along the clients' last prompts, of each model.
        started: called when requests can be answered.

    Raises:
        InputError: the engine cannot be had.
    """
    loop: asyncio.AbstractEventLoop

    def post(outbox: Outbox) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(_deliver, outbox)

    served = Models(
        models,
        limits,
        engine=engine,
        precision=precision,
        reading=reading,
        cache_bytes=cache_bytes,
        post=post,
    )
    sites = Sites(cors, host)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal loop
        loop = asyncio.get_running_loop()
        for one in served:
            one.scheduler.start()
        started()
        yield
        for one in served:
            one.scheduler.stop()

    app = FastAPIOffline(
        redoc_url=None,
        title="charrnn",
        version=__version__,
        description="Completions of texts by character-level recurrent networks.",
        lifespan=lifespan,
    )
    app.include_router(_routes(served, limits, copies, token, sites))

    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Answers as long as the server takes requests."""
        return {"status": "ok"}

    _add_errors(app)
    app.add_middleware(BodyLimit, limits=limits)
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # OpenAI's client in a browser sends a dozen of its own
        )
    app.add_middleware(HostCheck, sites=sites)
    if PAGE.is_dir():  # it is another extra's
        # in a folder of its own: what is mounted at / would answer every wrong method of a route
        app.mount("/page", _Page(directory=PAGE))
        app.add_route("/", _first_page, include_in_schema=False)
    return app


def _deliver(outbox: Outbox) -> None:
    for job, event in outbox:
        job.receive(event)


def _routes(
    models: Models,
    limits: Limits,
    copies: Copies | None,
    token: str | None,
    sites: Sites,
) -> APIRouter:
    async def authorize(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> None:
        if token is None:
            return
        # a header is bytes, which come as latin-1
        sent = given.credentials.encode("latin-1") if given else b""
        if not hmac.compare_digest(sent, token.encode("utf-8", "surrogateescape")):
            raise Refusal(401, "this server asks for a token: Authorization: Bearer TOKEN")

    async def require_own(request: Request) -> None:
        sites.require_own(request)

    routes = APIRouter(dependencies=[Depends(authorize)], responses=_ERRORS)
    # what costs something, so that no page from elsewhere may start it
    asking = APIRouter(dependencies=[Depends(require_own)])

    @routes.get("/v1/models", response_model=ModelList, tags=["completions"])
    async def list_models() -> Response:
        """The models that can be asked."""
        return answer({"object": "list", "data": [served.card() for served in models]})

    @routes.get("/v1/models/{name:path}", response_model=ModelCard, tags=["completions"])
    async def one_model(name: str) -> Response:
        """One of the models."""
        return answer(models.named(name).card())

    @asking.post("/v1/completions", response_model=Completion, tags=["completions"])
    async def completions(asked: CompletionRequest, request: Request) -> Response:
        """Go on from a prompt, or from several.

        With `stream` the answer is server-sent events, each a part of it, and then `[DONE]`.
        """
        wanted = Answer(asked, models.named(asked.model), limits, _client(request, asked.user))
        if asked.stream:
            return _EventStream(wanted, limits)
        return answer(await _whole(wanted, request))

    @asking.get("/generate", response_model=Generated, tags=["completions"])
    async def generate(
        request: Request,
        start_text: Annotated[str, Query(description="what is gone on from")] = "",
        n: Annotated[int, Query(ge=1, description="completions")] = 1,
        length: Annotated[int, Query(ge=0, description="characters of each, at most")] = 200,
        temperature: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.8,
        seed: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        model: str | None = None,
    ) -> Response:
        """As torch-rnn-server: `n` ways to end the sentence that `start_text` begins."""
        began = time.monotonic()
        asked = CompletionRequest(
            model=model, prompt=start_text, n=n, max_tokens=length, temperature=temperature,
            seed=seed, stop=_SENTENCE_ENDS, include_stop_str_in_output=True,
        )  # fmt: skip
        wanted = Answer(asked, models.named(model), limits, _client(request, None))
        whole = await _whole(wanted, request)
        return answer(
            {
                "start_text": start_text,
                "time": round(time.monotonic() - began, 3),
                "completions": [choice["text"] for choice in whole["choices"]],
            }
        )

    @asking.post("/v1/copied", response_model=Copied, tags=["completions"])
    async def copied(asked: CopiedRequest) -> Response:
        """Which passages of a text stand in the training text.

        404 where the training text is not at hand.
        """
        if copies is None:
            raise Refusal(404, "there is nothing here to look for copies with")
        if len(asked.text) > limits.max_prompt:
            message = f"text: has more than the {limits.max_prompt:,} characters that are looked at"
            raise Refusal(400, message, param="text")
        model = models.named(asked.model).sampler.model
        ranges = await anyio.to_thread.run_sync(copies.of, model, asked.text, asked.min_length)
        return answer({"ranges": ranges})

    @asking.post("/v1/read_as", response_model=ReadAs, tags=["completions"])
    async def characters_read_as(asked: ReadAsRequest) -> Response:
        """What is read in place of the characters of a text that a model does not know."""
        served = models.named(asked.model)
        found = read_as(asked.text, served.vocabulary, served.reading.unknown)
        return answer({"read_as": found})

    routes.include_router(asking)
    return routes


def _client(request: Request, user: str | None) -> str:
    """Whose last prompt a request goes on from."""
    return f"{request.client.host if request.client else ''} {user or ''}"


async def _whole(wanted: Answer, request: Request) -> dict[str, Any]:
    """An answer in one; its places are free again when the client leaves."""
    wanted.begin()
    async with _given_up_with_its_client(wanted, request.receive):
        return await wanted.whole()


class _EventStream(Response):
    """An answer as server-sent events; its places are free again when the client leaves.

    As Starlette's StreamingResponse, but with one task for each request where that has a group of
    them, which cost time that the models could write in.
    """

    def __init__(self, wanted: Answer, limits: Limits) -> None:
        wanted.begin()
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(None, 200, headers, "text/event-stream")
        del self.headers["Content-Length"]  # of the body that it does not have yet
        self._wanted, self._seconds = wanted, limits.max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with _given_up_with_its_client(self._wanted, receive):
            # the answer itself ends in time; this is for a client that does not read it
            with anyio.move_on_after(self._seconds + 5), contextlib.suppress(ClientLeft):
                await send(start)
                async for part in self._wanted.events():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.asynccontextmanager
async def _given_up_with_its_client(wanted: Answer, receive: Receive) -> AsyncIterator[None]:
    """Closes an answer at the end, and ends it with ClientLeft when its client leaves before."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        wanted.leave()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        wanted.close()


async def _first_page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers=_PAGE_HEADERS)


class _Page(StaticFiles):
    """The page at /, which no other page can frame and which loads nothing from elsewhere."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response


def _add_errors(app: FastAPI) -> None:
    """Every error in the same shape."""

    @app.exception_handler(Refusal)
    async def refuse(request: Request, error: Refusal) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def refuse_values(request: Request, error: RequestValidationError) -> Response:
        if "json" not in request.headers.get("content-type", "json"):
            return Refusal(400, "body: send JSON, with Content-Type: application/json").response()
        first = error.errors()[0]
        # after the place of the whole stands the option, or the byte at which JSON breaks off;
        # what follows names types of pydantic's
        param = next((part for part in first["loc"][1:2] if isinstance(part, str)), None)
        what = first["msg"].removeprefix("Value error, ")
        return Refusal(400, f"{param or 'body'}: {what}", param=param).response()

    @app.exception_handler(HTTPException)
    async def refuse_plainly(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"{shown(request.url.path)}: there is nothing here; /docs shows what there is"
            if "chat" in request.url.path:
                message = (
                    f"{shown(request.url.path)}: these models go on with a text and know no chat; "
                    f"POST /v1/completions with a prompt"
                )
        response = Refusal(error.status_code, message).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientLeft)
    async def nobody_there(request: Request, error: ClientLeft) -> Response:
        return Response(status_code=499)

    @app.exception_handler(RunError)
    async def cannot(request: Request, error: RunError) -> Response:
        return Refusal(500, str(error)).response()

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return Refusal(500, "this is a fault of the server; its log says more").response()
