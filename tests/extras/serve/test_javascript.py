"""What OpenAI's package for JavaScript gets; NODE_PATH says where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.extras.serve.servers import MODEL, Server

SCRIPT = """
const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL: process.argv[1] + "/v1", apiKey: "none", maxRetries: 0 });
const asked = { model: "main", prompt: "Hm: ", max_tokens: 300, n: 2, seed: 3, stop: ["q"] };
(async () => {
  const whole = await client.completions.create({ ...asked, logprobs: 1 });
  const streamed = ["", ""];
  for await (const event of await client.completions.create({ ...asked, stream: true }))
    for (const choice of event.choices) streamed[choice.index] += choice.text;
  const refused = await client.completions.create({ ...asked, n: 1000 }).catch((error) => error);
  console.log(JSON.stringify({
    whole: whole.choices.map((choice) => choice.text),
    tokens: whole.choices.map((choice) => choice.logprobs.tokens.join("")),
    streamed, status: refused.status, param: refused.param,
  }));
})();
"""


@pytest.mark.slow
def test_the_npm_package_completes_and_streams(server: Server) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    if subprocess.run([node, "-e", 'require.resolve("openai")'], capture_output=True).returncode:
        pytest.skip("the npm package openai is not installed: npm install openai, and NODE_PATH=")
    done = subprocess.run([node, "-e", SCRIPT, server.url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = MODEL.generate(300, "Hm: ", num_samples=2, seed=3, temperature=1, until="q")
    assert found["whole"] == found["tokens"] == found["streamed"] == expected
    assert (found["status"], found["param"]) == (400, "n")
