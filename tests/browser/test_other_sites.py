"""What a website that somebody visits gets of a server on the same machine, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.browser.steps import ARGUMENTS
from tests.extras.serve.servers import Server, add_run, serving

pytestmark = pytest.mark.browser

# What a page can try: it returns a text for each answer that it can read.
ATTACK = """async (server) => {
  const body = JSON.stringify({ prompt: "A", max_tokens: 3, name: "stolen", text: "A text." });
  const read = (path, how) => fetch(server + path, how).then((answer) => answer.text(), () => "");
  const json = { "Content-Type": "application/json" };
  const got = [];
  for (const path of ["/", "/v1/models", "/models/main", "/v1/trainings", "/v1/completions"]) {
    got.push(await read(path));
    for (const method of ["POST", "DELETE"]) {
      got.push(await read(path, { method, body }));
      got.push(await read(path, { method, body, headers: json }));
      got.push(await read(path, { method, body, mode: "no-cors" }));
    }
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.src = server + path;
    const script = document.head.appendChild(document.createElement("script"));
    script.src = server + path;
    await new Promise((resolve) => { script.onload = script.onerror = resolve; });
    got.push(frame.contentDocument?.body.textContent ?? "");
  }
  return got.filter(Boolean);
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    folder = tmp_path_factory.mktemp("served")
    add_run(folder / "main", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with serving(str(folder)) as server:
            yield server


@pytest.fixture(scope="module")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve an empty page, and return its port."""
    folder = tmp_path_factory.mktemp("website")
    (folder / "index.html").write_text("<!doctype html><title>x</title><body>")
    handler: Any = partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_address[1]
        site.shutdown()


@pytest.fixture
def window_of_names(chromium: Any) -> Iterator[Any]:
    """Open a window in which all names of .test mean this machine, as after DNS rebinding."""
    if chromium.browser_type.name != "chromium":
        pytest.skip("only Chromium maps names")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = [*ARGUMENTS, "--host-resolver-rules=MAP *.test 127.0.0.1"]
    browser = chromium.browser_type.launch(executable_path=path, args=arguments)
    yield browser.new_page()
    browser.close()


def test_a_website_gets_nothing_under_its_own_name_or_another(
    window_of_names: Any, server: Server, website: int
) -> None:
    port = server.url.rpartition(":")[2]
    for name in ("evil.test", "localhost", "127.0.0.1"):  # the last ones as another local program
        for address in (server.url, f"http://localhost:{port}", f"http://evil.test:{port}"):
            window_of_names.goto(f"http://{name}:{website}/")
            assert window_of_names.evaluate(ATTACK, address) == []
    window_of_names.goto(
        f"http://evil.test:{port}/"
    )  # the name of the website means this machine now
    assert "charrnn serve names=[evil.test]" in window_of_names.content()
    answers = window_of_names.evaluate(ATTACK, "")
    assert {"no name of this server" in answer for answer in answers} == {True}
    window_of_names.goto(f"{server.url}/v1/trainings")
    assert '{"data":[]}' in window_of_names.content()
