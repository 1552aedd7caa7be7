"""Whatever is sent, the answer is none of a fault of the server."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.options.sampling import SamplingParams
from tests.extras.serve.servers import Server

FIELDS = [
    "model", "prompt", "max_tokens", "n", "stop", "echo", "logprobs", "stream", "stream_options",
    "suffix", "best_of", "user", "other", "\ud800",
    *SamplingParams.__dataclass_fields__,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, 1, -1, 2, 17, 10**9, 2**63, 10**400, str(10**400), 0.5, -0.5, 1e-300, 1e308,
    float("nan"), float("inf"), "", "a", "Hm: ", "main", "bytes", "é", "😀", "\ud800", "\x00",
    "x" * 200_000, [], [[]], [1, 2], ["a", "b"], ["a"] * 70, [None], {}, {"a": 1}, {"a": "b"},
    {"include_usage": True}, {"50256": -100}, {"\ud800": 10**400},
]  # fmt: skip
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES), max_size=8).map(json.dumps),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2).map(json.dumps),
    st.sampled_from(["", "[]", "null", '"a"', "[" * 50_000, "1" * 9_999, '{"n": 1', "\x00"]),
)
TYPES = st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-16", ""])
few = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@few
@given(BODIES, TYPES)
def test_whatever_is_posted(server: Server, http: Any, body: str, kind: str) -> None:
    headers = {"content-type": kind}
    answer = http.post("/v1/completions", content=body.encode(), headers=headers)
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
