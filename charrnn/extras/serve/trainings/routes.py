"""The routes below /v1/trainings: the server learns the texts of its clients."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from charrnn.errors import RunError
from charrnn.extras.serve.protocol import ASCIIJSONResponse, Refusal, RequestBody, as_json
from charrnn.extras.serve.server import Connection
from charrnn.extras.serve.trainings.clients import WORDS_HEADER, Client, identify
from charrnn.extras.serve.trainings.progress import describe, describe_progress, stamp_files
from charrnn.extras.serve.trainings.store import (
    FAILED,
    STOPPED,
    TRAINING,
    WAITING,
    Store,
    Training,
)
from charrnn.extras.serve.trainings.teaching import Trainings
from charrnn.extras.serve.trainings.texts import check_name
from charrnn.say import say

_LOOK = 0.5  # seconds between two looks at the files of a training
_LONGEST_STREAM = 25.0  # seconds of events; an EventSource then connects again
_TEXT_BODY = {"requestBody": {"required": True, "content": {"text/plain": {}}}}


def _get_trainings(request: Request) -> Trainings:
    trainings: Trainings = request.app.state.trainings
    return trainings


Identified = Annotated[Client, Depends(identify)]


def _find_training(request: Request, client: Identified, id: str) -> Training:
    return _require_training(request, client, id, "id")


def _require_training(request: Request, client: Client, id_: str, param: str) -> Training:
    """Return a training. Raise Refusal if there is none, or if it is another client's."""
    training = _get_trainings(request).store.find(id_)
    if training is None or not client.may_change(training):
        raise Refusal(404, "there is no such training", param=param)
    return training


def _refuse_foreign_origin(request: Request) -> None:
    """Raise Refusal for a request of another website: a browser may send it without asking."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if origin is not None and origin.partition("://")[2] != host:
        raise Refusal(403, "Origin: another website may not change the trainings of this server")


Found = Annotated[Training, Depends(_find_training)]
_IS_WRITING = [Depends(_refuse_foreign_origin)]
routes = APIRouter(prefix="/v1/trainings", tags=["trainings"])


@routes.post("", status_code=201, dependencies=_IS_WRITING, openapi_extra=_TEXT_BODY)
async def create_training(
    request: Request,
    client: Identified,
    name: Annotated[str, Query(description="of the text and of the model")],
    minutes: Annotated[float | None, Query(ge=0.5, le=10_080, description="time to train")] = None,
    background: Annotated[str | None, Query(description="training whose text helps")] = None,
    start_from: Annotated[str | None, Query(description="model to start from")] = None,
    copy: Annotated[str | None, Query(description="training whose text to learn again")] = None,
) -> Response:
    """Add a text to the queue. The body of the request is the text, in UTF-8."""
    trainings, name = _get_trainings(request), check_name(name)
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Refusal(415, "send the text alone, as the body of the request")
    copied = None if copy is None else _require_training(request, client, copy, "copy")
    sources = trainings.find_sources(client, background, start_from)
    minutes = trainings.limit_minutes(client, minutes)
    try:
        size = _compute_size(request, copied)
        trainings.require_room(client, size)
        with trainings.store.receive_text() as path:
            trainings.arriving[path] = size
            try:
                await _receive(request, path, copied)
                training = await asyncio.to_thread(
                    trainings.store.add, path, name, client.owner, minutes, **sources
                )
            finally:
                del trainings.arriving[path]
    except ClientDisconnect:
        raise Refusal(400, "the end of the text is missing") from None
    except FileNotFoundError:
        raise Refusal(404, "the text to copy was deleted", param="copy") from None
    except (OSError, RunError) as error:
        say(f"a text of a client: {error}")
        raise Refusal(507, "the text cannot be stored: the disk may be full") from None
    return _respond(client, _describe_for(client, training, trainings.store), 201)


def _respond(client: Client, content: dict[str, Any], status: int = 200) -> Response:
    response = ASCIIJSONResponse(content, status)
    client.remember(response)
    return response


def _describe_for(client: Client, training: Training, store: Store) -> dict[str, Any]:
    return {**describe(training, store), "is_mine": client.owns(training)}


def _compute_size(request: Request, copied: Training | None) -> int:
    """Return the bytes that a new text may take."""
    if copied is not None:
        return copied.text.stat().st_size
    limit = _get_trainings(request).max_text
    return min(int(request.headers.get("content-length", limit)), limit)


async def _receive(request: Request, path: Path, copied: Training | None) -> None:
    """Write the body, or the text of another training, to the disk while it arrives."""
    arriving = _get_trainings(request).arriving
    with open(path, "wb") as file:
        async for piece in request.stream():
            if piece and copied is not None:
                raise Refusal(400, "send either a text or the training to copy", param="copy")
            file.write(piece)
            arriving[path] -= len(piece)
    if copied is not None:
        await asyncio.to_thread(shutil.copyfile, copied.text, path)


@routes.get("")
def list_trainings(request: Request, client: Identified) -> Response:
    """List the trainings of this browser, or all for the teacher.

    The browser gets a cookie with three words. With `Charrnn-Words: THREE WORDS`, another browser
    gets the same trainings.
    """
    trainings = _get_trainings(request)
    listed = [
        _describe_for(client, training, trainings.store)
        for training in trainings.store.list_all()
        if client.may_change(training)
    ]
    if request.headers.get(WORDS_HEADER) is not None and not any(t["is_mine"] for t in listed):
        raise Refusal(404, "no texts have these words")
    facts = {
        "max_minutes": trainings.max_minutes,
        "max_text": trainings.max_text,
        "words": client.words,
        "is_teacher": client.is_teacher,
    }
    return _respond(client, {"data": listed, **facts})


@routes.get("/{id}")
async def show_training(request: Request, client: Identified, training: Found) -> Response:
    """Show a training, its network, its losses, and the samples of its validations.

    With `Accept: text/event-stream`, as an EventSource sends it, the response is a stream of
    server-sent events. Each event is the whole description, after a change.
    """
    store = _get_trainings(request).store
    if "text/event-stream" in request.headers.get("accept", ""):
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = _stream_events(request, client, training)
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")
    content = await asyncio.to_thread(_describe_all, client, training, store)
    return _respond(client, content)


@routes.get("/{id}/text")
def send_text(training: Found) -> Response:
    """Send the text of a training."""
    try:
        text = training.text.read_bytes()
    except OSError:
        raise Refusal(404, "the text is missing", param="id") from None
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


def _describe_all(client: Client, training: Training, store: Store) -> dict[str, Any]:
    return {**_describe_for(client, training, store), **describe_progress(training)}


async def _stream_events(
    request: Request, client: Client, training: Training
) -> AsyncIterator[bytes]:
    store = _get_trainings(request).store
    longest = min(_LONGEST_STREAM, request.app.state.options.max_seconds)
    sent, end = None, time.monotonic() + longest
    # A server that was told to stop waits for its open requests.
    connection: Connection = request.scope["state"]["connection"]
    while time.monotonic() < end and not connection.is_shutting_down:
        if store.find(training.id) is None:
            return
        stamp = (describe(training, store), stamp_files(training))
        if stamp != sent:
            sent = stamp
            body = await asyncio.to_thread(_describe_all, client, training, store)
            yield b"data: " + as_json(body) + b"\n\n"
        await asyncio.sleep(_LOOK)


class TrainingChange(RequestBody):
    """The body of `PATCH /v1/trainings/{id}`."""

    state: Literal["stopped", "waiting"] | None = None
    name: str | None = None
    is_shared: bool | None = None


@routes.patch("/{id}", dependencies=_IS_WRITING)
def change_training(
    request: Request, client: Identified, training: Found, body: TrainingChange
) -> Response:
    """Stop a training (`stopped`), let it continue (`waiting`), rename it, or share its model."""
    store = _get_trainings(request).store
    values: dict[str, Any] = {} if body.is_shared is None else {"is_shared": body.is_shared}
    try:
        with store.changed:
            if body.state == STOPPED and training.state in (WAITING, TRAINING):
                values |= {"state": STOPPED}
            if body.state == WAITING and training.state in (STOPPED, FAILED):
                values |= {"state": WAITING, "error": None}
            store.update(training, name=body.name, **values)
    except (OSError, RunError) as error:
        say(f"{training.folder}: {error}")
        raise Refusal(507, "the change cannot be stored: the disk may be full") from None
    return _respond(client, _describe_for(client, training, store))


@routes.delete("/{id}", status_code=204, dependencies=_IS_WRITING)
def delete_training(request: Request, training: Found) -> Response:
    """Delete a training: its text, its model, and all other files."""
    return _delete(request, training)


@routes.delete("", status_code=204, dependencies=_IS_WRITING)
def delete_all_trainings(request: Request, client: Identified) -> Response:
    """Delete all trainings of all clients, with all their files. Only the teacher may."""
    if not client.is_teacher:
        raise Refusal(403, "only the teacher may delete all trainings")
    store = _get_trainings(request).store
    if not store.open(make=False):
        raise Refusal(503, "another server of this machine has these trainings; end them there")
    response = _delete(request, *store.list_all())
    store.remove_rest()
    return response


def _delete(request: Request, *trainings: Training) -> Response:
    _get_trainings(request).worker.delete(*trainings)
    for training in trainings:
        request.app.state.loaded.forget(training.model)
    return Response(status_code=204)
