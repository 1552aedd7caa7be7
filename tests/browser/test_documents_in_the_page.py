"""The page reads .docx, .odt and .epub, and refuses other files in a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from charrnn.extras.page.single_file import SITE, join_modules
from tests.browser.office_files import P, T, docx, epub, odt, pack

pytestmark = pytest.mark.browser

LETTER = docx(
    P(T("Zür") + T("ich &amp; ich") + "<w:r><w:tab/><w:br/></w:r>" + T("two")) + P("")
    + P('<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:moveFrom>' + T("moved")
        + "</w:moveFrom><w:r><w:instrText>PAGE</w:instrText></w:r>" + T("end"))
)  # fmt: skip
NOTES = odt(
    "<text:h>Title</text:h><text:p>a<text:s/><text:span>b\n  c</text:span><text:line-break/>d"
    "<text:note>foot</text:note></text:p><text:p/><text:p>e</text:p>"
)
BOOK = epub(
    "<p>last &nbsp;one</p>", "<h1>One</h1><div>a <i>b</i></div><ul><li>c</li></ul>\n<p>d<br/>e</p>"
)
READ = {
    "docx": (LETTER, "Zürich & ich\t\ntwo\n\nend"),
    "stored": (pack({"word/document.xml": "<a><body><p><r><t>x</t></r></p></body></a>"}, 0), "x"),
    "odt": (NOTES, "Title\na b c\nd\n\ne"),
    "epub": (BOOK, "One\na b\nc\nd\ne\nlast \xa0one"),
}


def change(data: bytes, at: int, new: bytes) -> bytes:
    """Replace bytes in the entry of an archive's last part in its directory."""
    start = data.rindex(b"PK\x01\x02") + at
    return data[:start] + new + data[start + len(new) :]


ENTITIES = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
SECRET = odt("", **{"META-INF/manifest.xml": "<m><encryption-data/></m>"})
BOMB = change(pack({"word/document.xml": "a" * 20_000_001}), 24, b"\x64\0\0\0")  # says 100 bytes
REFUSED = {
    "bomb": (BOMB, "more than 20 MB"), "entities": (docx(P(T("&b;")), ENTITIES), "damaged"),
    "pdf": (b"%PDF-1.7", "a PDF. Save it as .docx or as plain text"),
    "text": (b"plain text", "no .docx, .odt or .epub file"), "empty": (b"", "no .docx"),
    "secret": (SECRET, "encrypted"), "cut": (LETTER[: len(LETTER) // 2], "damaged"),
    "password": (change(LETTER, 8, b"\x01"), "encrypted. Save it as .docx"),
}  # fmt: skip


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Any]:
    page = chromium.new_page()
    page.set_content("<input type=file>")
    page.add_script_tag(content=join_modules(SITE / "documents.js"))
    yield page
    page.close()


def read(page: Any, data: bytes) -> list[Any]:
    """Return whether a file is a document, its text, and the message of the error."""
    file = {"name": "x", "mimeType": "", "buffer": data}
    page.locator("input").set_input_files(file)
    return page.evaluate("""async () => {
        const { isDocument, readDocument } = module_documents;
        const [file] = document.querySelector("input").files;
        const read = readDocument(file).then((text) => [text, null], (e) => [null, e.message]);
        return [await isDocument(file), ...await read];
    }""")


@pytest.mark.parametrize("name", READ)
def test_a_document_is_read_as_its_paragraphs(page: Any, name: str) -> None:
    data, text = READ[name]
    assert read(page, data) == [True, text, None]


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused_in_one_line(page: Any, name: str) -> None:
    data, words = REFUSED[name]
    is_document, text, message = read(page, data)
    assert (is_document, text) == (name not in ("text", "empty"), None)
    assert words in message
    assert "\n" not in message


def test_damage_anywhere_is_a_line_or_a_text(page: Any) -> None:
    for data in (LETTER, NOTES, BOOK):
        for at in range(4, len(data), 29):
            broken = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
            _, text, message = read(page, broken)
            assert (text is None) != (message is None)
