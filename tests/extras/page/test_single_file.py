"""One HTML file and its one script: what is allowed in them, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from charrnn.extras.page.single_file import join_modules, make_single_file
from tests.extras.page.node import run

HTML = '<html>\n<head>\n<meta charset="utf-8">\n</head>\n<body>\n</body>\n</html>\n'


def test_its_script_and_style_are_allowed_by_their_hashes_and_nothing_else_is() -> None:
    page = make_single_file(HTML, style="a { b: c }", script="const d = 'ä';", data={})
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    allowed = dict(part.split(" ", 1) for part in policy[1].split("; "))
    assert allowed["default-src"] == "'none'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        inline = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(inline) == 1
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert allowed[name].split()[0] == f"'sha256-{digest}'"
    assert "unsafe-inline" not in policy[1]
    assert "http" not in policy[1]


def test_data_comes_back_as_it_was_and_ends_nothing() -> None:
    text = "</script><!-- <script> \u2028\0\\"
    page = make_single_file(HTML, style="", script="", data={"x": json.dumps(text)})
    found = re.findall(r'<script type="application/json" id="x">(.*?)</script>', page, re.DOTALL)
    assert [json.loads(each) for each in found] == [text]
    assert "<" not in found[0]


@pytest.mark.parametrize("script", ["a = '</script>'", "a = '</SCRIPT '", "a = '<!--'"])
def test_a_script_that_would_end_itself_is_refused(script: str) -> None:
    with pytest.raises(ValueError, match="would end it"):
        make_single_file(HTML, style="", script=script, data={})


def test_what_is_imported_comes_first_and_once(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        'import { b, C } from "./b.js";\nimport { d } from "./folder/d.js";\n'
        "const mine = 3;\nexport function a() { return [b(), new C().c, d, mine]; }\n"
    )
    (tmp_path / "b.js").write_text(
        'import { d } from "./folder/d.js";\nconst mine = 1;\n'
        "export function b() { return mine + d; }\nexport class C { c = 5; }\n"
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "d.js").write_text("export const d = 7;\n")
    assert run("return module_a.a();", tmp_path / "a.js") == [8, 5, 7, 3]
    assert join_modules(tmp_path / "a.js").count("const d = 7;") == 1
