"""The routes of the server."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from charrnn import __version__
from charrnn.errors import InputError, shorten, suggest_name
from charrnn.extras.serve.addresses import show_code
from charrnn.extras.serve.completions import Answer, check_limits, list_limits
from charrnn.extras.serve.lazy_models import LazyModel, LoadedModels
from charrnn.extras.serve.model_folder import ModelFolder
from charrnn.extras.serve.protocol import (
    ASCIIJSONResponse,
    CompletionRequest,
    JSONRoute,
    NextWordsRequest,
    Refusal,
    TextRequest,
    make_error_response,
)
from charrnn.extras.serve.scheduler import Outbox
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.extras.serve.server import LimitRequests
from charrnn.options.sampling import SamplingParams
from charrnn.say import say

PAGE = Path(__file__).parents[1] / "page" / "site"
# The page loads files only from this folder, and connects only to this server.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_GRACE = 4.0  # seconds for the threads to end after `drain_seconds`
_READER = ThreadPoolExecutor(1, "reader")  # reads a training text once, when it is first needed
_ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"description": "an error in OpenAI's format"}}
_BEARER = HTTPBearer(auto_error=False, description="required if the server has a token")


async def _authorize(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> None:
    if (token := request.app.state.options.token) is None:
        return
    # Starlette decodes the bytes of a header as latin-1.
    sent = credentials.credentials.encode("latin-1") if credentials else b""
    if not hmac.compare_digest(sent, token.encode("utf-8", "surrogateescape")):
        raise Refusal(401, "this server requires a token: Authorization: Bearer TOKEN")


routes = APIRouter(
    dependencies=[Depends(_authorize)],
    responses=_ERRORS,
    tags=["completions"],
    route_class=JSONRoute,
)


Models = Mapping[str, ServedModel | LazyModel]


def _list_names(names: Iterable[str]) -> str:
    return shorten(", ".join(names))


def _find_model(request: Request, name: str | None) -> ServedModel | LazyModel:
    """Return a model of the server; without a name the first. Raise Refusal if there is none."""
    models: Models = request.app.state.models
    if name is None and models:
        return next(iter(models.values()))
    if name is not None and name in models:
        return models[name]
    if models:
        message = f"there is no model {shorten(str(name))!r}; this server has {_list_names(models)}"
    else:
        message = "there is no model yet; `charrnn train my.txt` trains one"
    raise Refusal(404, message, param="model", code="model_not_found")


async def _get_model(request: Request, name: str | None) -> ServedModel:
    """Return the model with this name, which is read if it is not in memory."""
    found = _find_model(request, name)
    if isinstance(found, ServedModel):
        return found
    try:
        return await asyncio.to_thread(request.app.state.loaded.load, found)
    except InputError:
        if found.file.exists():
            raise
        message = f"the model {shorten(found.name)!r} was deleted"
        raise Refusal(404, message, param="model", code="model_not_found") from None


@routes.get("/v1/models")
async def list_models(request: Request) -> Response:
    """List the models of this server, the default sampling parameters, and the limits."""
    served: Models = request.app.state.models
    if isinstance(served, ModelFolder):
        await asyncio.to_thread(served.search)
    models = [*served.values()]
    cards = await asyncio.to_thread(lambda: [model.to_card() for model in models])
    sampling, limits = asdict(SamplingParams()), list_limits(request.app.state.options)
    return ASCIIJSONResponse(
        {"object": "list", "data": cards, "sampling": sampling, "limits": limits}
    )


@routes.get("/v1/models/{name:path}")
async def show_model(request: Request, name: str) -> Response:
    """Show one model."""
    return ASCIIJSONResponse(_find_model(request, name).to_card())


@contextlib.contextmanager
def _take_places(request: Request, number: int) -> Iterator[None]:
    """Take places in the queue, one for each completion. Raise Refusal if it has too few."""
    state = request.app.state
    waiting = state.num_taken - state.options.streams
    if waiting > 0 and waiting + number > state.options.max_queue:
        raise Refusal(429, "too many requests are waiting; try again in a moment")
    state.num_taken += number
    try:
        yield
    finally:
        state.num_taken -= number


async def _start_answer(request: Request, body: CompletionRequest) -> AsyncIterator[Answer]:
    """Start the completions, and cancel them when the response is sent or the client leaves."""
    served, options = await _get_model(request, body.model), request.app.state.options
    check_limits(body, options)
    with (
        _take_places(request, body.n),
        contextlib.closing(Answer(body, served, options)) as answer,
    ):
        await answer.prepare()
        yield answer


@routes.post("/v1/completions")
async def create_completion(answer: Annotated[Answer, Depends(_start_answer)]) -> Response:
    """Continue a prompt.

    With `stream`, the response is a sequence of server-sent events that ends with `[DONE]`.
    """
    if not answer.is_stream:
        return Response(await answer.collect(), media_type="application/json")
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(answer.stream(), headers=headers, media_type="text/event-stream")


def _check_length(request: Request, name: str, text: str) -> None:
    limit = request.app.state.options.max_prompt
    if len(text) > limit:
        raise InputError(f"{name}: has {len(text):,} characters; at most {limit:,} are allowed")


async def _open_text(request: Request, body: TextRequest) -> AsyncIterator[ServedModel]:
    """Return the model of a request, which has a place in the queue."""
    _check_length(request, "text", body.text)
    served = await _get_model(request, body.model)
    with _take_places(request, 1):
        yield served


ModelForText = Annotated[ServedModel, Depends(_open_text)]


async def _respond(served: ServedModel, blocks: Generator[None, None, bytes]) -> Response:
    return Response(await served.scheduler.run(blocks), media_type="application/json")


@routes.post("/v1/copied")
async def list_copied(served: ModelForText, body: TextRequest) -> Response:
    """List the passages that the training text contains, as ranges of characters.

    The status is 404 if the server does not find the training text.
    """
    loop = asyncio.get_running_loop()
    training_text = await loop.run_in_executor(_READER, lambda: served.training_text)
    return await _respond(served, served.find_copied(body.text, training_text))


@routes.post("/v1/lines")
async def list_known_lines(served: ModelForText, body: TextRequest) -> Response:
    """List the lines that the training text contains, as line numbers from 0.

    The status is 404 if the server does not find the training text.
    """
    loop = asyncio.get_running_loop()
    known_lines = await loop.run_in_executor(_READER, lambda: served.known_lines)
    return await _respond(served, served.find_known_lines(body.text, known_lines))


@routes.post("/v1/read_as")
async def list_replacements(served: ModelForText, body: TextRequest) -> Response:
    """List the characters that the model does not know, each with its replacement."""
    return await _respond(served, served.find_replacements(body.text))


@routes.post("/v1/next_words")
async def list_next_words(request: Request, body: NextWordsRequest) -> Response:
    """List the likeliest next words and marks after a prompt, with their probabilities.

    After a part of a word, they are its possible ends.
    """
    _check_length(request, "prompt", body.prompt)
    served = await _get_model(request, body.model)
    with _take_places(request, 1):
        return await _respond(served, served.find_next_words(body.prompt, body.k))


async def check_health() -> dict[str, str]:
    """Respond as long as the server accepts requests."""
    return {"status": "ok"}


def make_app(
    models: Models,
    options: ServeOptions,
    *,
    address: str,
    notes: Sequence[str] = (),
    is_local: bool,
) -> FastAPI:
    """Create the ASGI application.

    Args:
        models: by their names. The first is the default of a request.
        address: the URL of the server.
        notes: lines to say below it.
        is_local: only this machine can connect; the server then checks the header `Host`.
    """

    loaded = LoadedModels(options)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        """Run the threads of the models while the server runs, with the state of `Connection`."""
        loop = asyncio.get_running_loop()

        def post(outbox: Outbox) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed when the server ends.
                loop.call_soon_threadsafe(_deliver, outbox)

        # The others are read when a request needs them, and `loaded` starts their schedulers.
        in_memory = [served for served in models.values() if isinstance(served, ServedModel)]
        for served in in_memory:
            served.scheduler.start(post)
        loaded.start(post)
        names = _list_names(models) if models else "a page that learns a text"
        say(f"serving {names} at {address}", *notes)
        if not is_local:
            show_code(address)
        yield {"connections": {}, "options": options}
        # A thread that is still busy would keep the process from ending.
        deadline = threading.Timer(_GRACE, _end_process)
        deadline.daemon = True
        deadline.start()
        for served in in_memory:
            served.scheduler.stop()

    app = FastAPIOffline(
        redoc_url=None,
        title="charrnn",
        version=__version__,
        description="Completions of texts by character-level recurrent networks.",
        lifespan=lifespan,
        exception_handlers={
            HTTPException: _refuse,
            RequestValidationError: _refuse_validation,
            InputError: _refuse_input,
            Exception: _report_fault,
        },
    )
    app.state.models, app.state.options = models, options
    app.state.num_taken = 0  # places in the queue
    app.state.loaded = loaded
    app.include_router(routes)
    app.get("/health", tags=["server"])(check_health)
    if cors := options.cors or []:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # OpenAI's JavaScript client sends a dozen special headers.
        )
    hosts = None
    if is_local and "*" not in cors:
        # DNS rebinding: a foreign site can change its DNS name to 127.0.0.1 after a browser loaded
        # its page. The browser then treats this server as the page's origin. Only `Host` differs.
        names = [urlsplit(origin).hostname or "" for origin in cors if origin.startswith("http")]
        names = [f"[{name}]" if ":" in name else name for name in (options.host, *names)]
        hosts = frozenset(map(str.lower, ["localhost", "127.0.0.1", "[::1]", *names]))
    app.add_middleware(LimitRequests, options=options, hosts=hosts)
    if PAGE.is_dir():  # The page belongs to another extra, which may be deleted.
        app.add_route("/", _send_page, include_in_schema=False)
    return app


def _end_process() -> None:
    say("a model is still busy; the server ends without the rest of its completions")
    os._exit(0)


def _deliver(outbox: Outbox) -> None:
    for job, event in outbox:
        job.receive(event)


def _send_page(request: Request) -> Response:
    """Send the page that learns a text."""
    from charrnn.extras.page.writing_page import make_learning_page  # noqa: PLC0415  (see PAGE)

    # The policy of the page itself allows only its script and its style.
    policy = {"Content-Security-Policy": "frame-ancestors 'none'"}
    return HTMLResponse(make_learning_page(), headers={**_PAGE_HEADERS, **policy})


# All errors have OpenAI's format.


async def _refuse(request: Request, error: Any) -> Response:
    if error.status_code == 404 and not isinstance(error, Refusal):
        hint = "no such route (and no chat); POST /v1/completions continues a prompt"
        error = Refusal(404, f"{shorten(request.url.path)}: {hint}, and /docs lists all routes")
    return make_error_response(error)


async def _refuse_input(request: Request, error: Any) -> Response:
    # The message of an InputError starts with the name of the wrong parameter.
    return make_error_response(Refusal(400, str(error), param=re.split("[=:]", str(error))[0]))


_BODIES = {"/v1/completions": CompletionRequest, "/v1/next_words": NextWordsRequest}


async def _refuse_validation(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    # loc is ("body", field, pydantic's types ...), or ("body",) for the body as a whole.
    param = next((part for part in first["loc"][1:2] if isinstance(part, str)), None)
    message = first["msg"]
    if isinstance(error.body, bytes):  # The Content-Type is not JSON, as in a foreign page's form.
        message = "send JSON, with Content-Type: application/json"
    elif error.body is None and (first["type"], first["loc"][0]) == ("missing", "body"):
        message = "is empty; send a JSON object"
    elif first["type"] == "extra_forbidden":
        known = _BODIES.get(request.url.path, TextRequest).model_fields
        message = f"there is no such field{suggest_name(str(param), known, '; /docs lists them')}"
    return make_error_response(Refusal(400, f"{shorten(param or 'body')}: {message}", param=param))


async def _report_fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("internal server error", exc_info=error)
    return make_error_response(Refusal(500, "internal server error; see the log of the server"))
