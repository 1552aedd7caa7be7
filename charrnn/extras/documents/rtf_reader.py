"""Write the text of the RTF on standard input to standard output, in UTF-8.

It is a separate process, because a hostile file may take hours.
"""

from __future__ import annotations

import re
import sys

from striprtf.striprtf import rtf_to_text


def read_rtf(data: bytes) -> str:
    """Return the text of a document in RTF, a line for each paragraph."""
    rtf = re.sub(r"[0-9a-fA-F\r\n]{200,}", " ", data.decode("cp1252", "replace"))  # no pictures
    rtf = rtf.replace(r"\*\fldinst", r"\*\ignored")  # no addresses of links
    text = rtf_to_text(rtf, errors="replace")
    # RTF has two numbers for a character above U+FFFF.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


if __name__ == "__main__":
    sys.stdout.buffer.write(read_rtf(sys.stdin.buffer.read()).encode())
