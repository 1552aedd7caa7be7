"""The trainings of a server: the queue, its limits, and the models that come out of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charrnn.extras.serve.lazy_models import LazyModel
from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.extras.serve.trainings.clients import Client
from charrnn.extras.serve.trainings.store import ROOT, Store
from charrnn.extras.serve.trainings.worker import Worker

_MAX_WAITING = 8  # texts of a client that wait, so that the others find room
_MINUTES_ELSEWHERE = 2.0  # the default of `max_minutes` if other machines can reach the server


class Trainings:
    """The trainings of a server, and their limits.

    Args:
        served: the other models of the server, whose names no training may have.
    """

    def __init__(
        self, options: ServeOptions, is_local: bool, served: Mapping[str, ServedModel | LazyModel]
    ) -> None:
        self.store, self._served = Store(served), served
        self.worker = Worker(self.store, options.min_free)
        self.max_waiting, self.max_text = options.max_trainings, options.max_text
        self.max_minutes = options.max_minutes or (None if is_local else _MINUTES_ELSEWHERE)
        # the texts that arrive, which count as waiting, and the bytes that they lack at most
        self.arriving: dict[Path, int] = {}

    def require_room(self, client: Client, size: int) -> None:
        """Raise Refusal if no further text can wait, or if the disk lacks `size` bytes."""
        if not self.store.open(make=True):
            raise Refusal(503, f"another server of this machine trains in {ROOT}")
        waiting = self.store.list_waiting()
        if not client.is_teacher and sum(map(client.owns, waiting)) >= _MAX_WAITING:
            raise Refusal(409, f"{_MAX_WAITING} of your texts wait; delete one, or try again later")
        if len(waiting) + len(self.arriving) >= self.max_waiting:
            raise Refusal(429, "too many texts are waiting; try again when one is ready")
        if not self.worker.has_space(size + sum(self.arriving.values())):
            raise Refusal(507, "the disk of the server is nearly full")

    def limit_minutes(self, client: Client, minutes: float | None) -> float | None:
        """Return the minutes that a training of this client may take."""
        limit = self.max_minutes
        if limit is None or (minutes is not None and client.is_teacher):
            return minutes
        return min(minutes or limit, limit)

    def list_models(self, client: Client) -> list[LazyModel]:
        """Return the models with which a client may write, with the newest first."""
        trainings = reversed(self.store.list_all())
        return [
            LazyModel(t.name, t.model, t.created, t.id, has_private_text=not client.may_change(t))
            for t in trainings
            if client.may_write_with(t) and t.model.is_file()
        ]

    def find_model(self, client: Client, name: str | None) -> LazyModel | None:
        """Return the model with this name, or the newest if the name is None."""
        models = self.list_models(client)
        return next((model for model in models if name in (None, model.name)), None)

    def find_sources(
        self, client: Client, background: str | None, start_from: str | None
    ) -> dict[str, Any]:
        """Return the fields of a new training that name its sources.

        Raise Refusal if there is no such text or model, or if the client may not use it.
        """
        other = None if background is None else self.store.find(background)
        if background is not None and (other is None or not client.may_write_with(other)):
            raise Refusal(404, "there is no such text to learn from, too", param="background")
        sources = {"background": background, "by_teacher": client.is_teacher}
        if start_from is not None:
            model = self._served.get(start_from) or self.find_model(client, start_from)
            if model is None:
                raise Refusal(404, "there is no such model to start from", param="start_from")
            maker = model.training if isinstance(model, LazyModel) else None
            sources |= {"start_from": start_from, "start_file": str(model.file), "start_id": maker}
        return sources
