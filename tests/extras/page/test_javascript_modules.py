"""Modules joined into one script."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrnn.extras.page.single_file import joined
from tests.extras.page.node import run


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
    assert joined(tmp_path / "a.js").count("const d = 7;") == 1


@pytest.mark.parametrize(
    "line",
    [
        'import a from "./b.js";',
        'import { a } from "https://example.org/b.js";',
        "export default 3;",
        "export let a = 3;",
    ],
)
def test_another_form_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.js").write_text(line + "\n")
    with pytest.raises(ValueError, match="no form of import or export"):
        joined(tmp_path / "a.js")


def test_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n')
    with pytest.raises(ValueError, match="imports itself"):
        joined(tmp_path / "a.js")
