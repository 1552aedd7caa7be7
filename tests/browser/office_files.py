"""Make .docx, .odt and .epub files."""

from __future__ import annotations

import io
import zipfile

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns"


def pack(parts: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def docx(body: str, head: str = "") -> bytes:
    xml = f'{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return pack({"[Content_Types].xml": "<Types/>", "word/document.xml": xml})


def odt(body: str, **parts: str) -> bytes:
    names = "".join(f' xmlns:{name}="{OFFICE}:{name}:1.0"' for name in ("office", "text"))
    content = f"<office:body{names}><office:text>{body}</office:text></office:body>"
    xml = f'<office:document-content xmlns:office="{OFFICE}:office:1.0">{content}'
    return pack({"content.xml": f"{xml}</office:document-content>", **parts})


def epub(*chapters: str) -> bytes:
    items = "".join(f'<item id="c{n}" href="text%20of/{n}.xhtml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in reversed(range(len(chapters))))
    book = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    container = '<container><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title></head><body>{}</body></html>'
    pages = {f"OEBPS/text of/{n}.xhtml": page.format(text) for n, text in enumerate(chapters)}
    return pack({"META-INF/container.xml": container, "OEBPS/a.opf": book, **pages})


T = "<w:r><w:t>{}</w:t></w:r>".format
P = "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>{}</w:p>".format
