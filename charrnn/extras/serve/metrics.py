"""What Prometheus is told: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charrnn.extras.serve.served_models import Models

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one server."""

    def __init__(self, models: Models) -> None:
        self._registry = CollectorRegistry()
        self._models = models
        self._registry.register(self)
        self.requests = Counter(
            "charrnn_requests", "Requests by route and status", ["route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "charrnn_request_seconds", "Time until a request was answered to its end", ["route"],
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip

    def collect(self) -> Iterator[Metric]:
        """What the schedulers have counted, when it is asked for."""
        labels = ["model"]
        read = CounterMetricFamily("charrnn_read", "Characters of prompts read", labels=labels)
        reused = CounterMetricFamily(
            "charrnn_reused", "Characters of prompts whose states were known", labels=labels
        )
        written = CounterMetricFamily("charrnn_written", "Characters written", labels=labels)
        active = GaugeMetricFamily("charrnn_active", "Completions under way", labels=labels)
        waiting = GaugeMetricFamily("charrnn_waiting", "Completions in the queue", labels=labels)
        for served in self._models:
            scheduler, label = served.scheduler, [served.name]
            read.add_metric(label, scheduler.read)
            reused.add_metric(label, scheduler.reused)
            written.add_metric(label, scheduler.written)
            active.add_metric(label, scheduler.active)
            waiting.add_metric(label, scheduler.waiting)
        yield from (read, reused, written, active, waiting)

    def page(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


class Counted:
    """ASGI middleware: counts requests, and how long they take."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # as nginx calls it: the client left before there was an answer
        began = time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # the route's pattern: paths are without end, and so would the counters be
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.monotonic() - began)
