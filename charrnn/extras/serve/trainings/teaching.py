"""The trainings of a server: the queue, its limits, and the models that come out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charrnn.extras.serve.protocol import Refusal
from charrnn.extras.serve.scheduler import Outbox
from charrnn.extras.serve.serve_options import ServeOptions
from charrnn.extras.serve.served_models import ServedModel
from charrnn.extras.serve.trainings.clients import Client
from charrnn.extras.serve.trainings.learned_models import LearnedModels, make_card
from charrnn.extras.serve.trainings.store import ROOT, Store, Training
from charrnn.extras.serve.trainings.worker import Worker

_MINUTES_ELSEWHERE = 2.0  # the default of `max_minutes` if other machines can reach the server


class Trainings:
    """The trainings of a server, and their limits.

    Args:
        served: the other models of the server, whose names no training may have.
    """

    def __init__(
        self, options: ServeOptions, is_local: bool, served: Mapping[str, ServedModel]
    ) -> None:
        self.store, self._served = Store(served), served
        self.models = LearnedModels(options)
        self.worker = Worker(self.store, options.min_free)
        self.max_waiting = options.max_trainings
        self.max_minutes = options.max_minutes or (None if is_local else _MINUTES_ELSEWHERE)
        self.arriving = 0  # texts, which count as waiting

    def start(self, post: Callable[[Outbox], None]) -> None:
        """Continue the trainings of the last server, if there are any."""
        self.models.start(post)
        self.store.open(make=False)
        self.worker.start()

    def require_room(self) -> None:
        """Raise Refusal if no further text can wait."""
        if not self.store.open(make=True):
            raise Refusal(503, f"another server of this machine trains in {ROOT}")
        if len(self.store.list_waiting()) + self.arriving >= self.max_waiting:
            raise Refusal(429, "too many texts are waiting; try again when one is ready")
        if not self.worker.has_space():
            raise Refusal(507, "the disk of the server is nearly full")

    def limit_minutes(self, client: Client, minutes: float | None) -> float | None:
        """Return the minutes that a training of this client may take."""
        limit = self.max_minutes
        if limit is None or (minutes is not None and client.is_teacher):
            return minutes
        return min(minutes or limit, limit)

    def list_usable(self, client: Client) -> list[Training]:
        """Return the trainings with whose models a client may write, with the newest first."""
        trainings = reversed(self.store.list_all())
        return [t for t in trainings if client.may_write_with(t) and t.model.is_file()]

    def list_cards(self, client: Client) -> list[dict[str, Any]]:
        """Return the models of a client for the list of /v1/models."""
        return [make_card(training) for training in self.list_usable(client)]

    def find_model(self, client: Client, name: str | None) -> ServedModel | None:
        """Return the model with this name, or the newest if the name is None."""
        for training in self.list_usable(client):
            if name in (None, training.name):
                return self.models.load(training)
        return None

    def find_sources(
        self, client: Client, background: str | None, start_from: str | None
    ) -> dict[str, str | None]:
        """Return the fields of a new training that name its sources.

        Raise Refusal if there is no such text or model, or if the client may not use it.
        """
        other = None if background is None else self.store.find(background)
        if background is not None and (other is None or not client.may_write_with(other)):
            raise Refusal(404, "there is no such text to learn from, too", param="background")
        file = None if start_from is None else self._find_file(client, start_from)
        if start_from is not None and file is None:
            raise Refusal(404, "there is no such model to start from", param="start_from")
        start_file = None if file is None else str(file)
        return {"background": background, "start_from": start_from, "start_file": start_file}

    def _find_file(self, client: Client, name: str) -> Path | None:
        """Return the file of the model with this name; None for an ensemble too."""
        if name in self._served:
            return self._served[name].file
        usable = self.list_usable(client)
        return next((training.model for training in usable if training.name == name), None)
