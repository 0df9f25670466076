"""Run the Python blocks of a page, in order, in one namespace: ``python docs/run_page.py docs/vcnet.md``.

A ``text`` block that follows a Python block is what that block prints; numbers may differ by a
quarter or by three units of their last digit, since training differs a little between machines.
Pictures that a page writes are copied to ``docs/images``. The tests run the same code.
"""

__all__ = ["Block", "blocks", "run_page"]

import contextlib
import io
import math
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?")


@dataclass(frozen=True)
class Block:
    """A fenced block: language, title (a file name, or ""), code, and the line before its first."""

    language: str
    title: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', fence[2])
        found.append(Block(fence[1], title[1] if title else "", fence[3], text.count("\n", 0, fence.start()) + 1))
    return found


def run_page(page: Path, folder: Path) -> None:
    """Run a page in a working folder.

    Raises:
        AssertionError: if a block prints something else than the page says.
    """
    namespace: dict[str, object] = {"__name__": "page"}
    listed = blocks(page)
    with contextlib.chdir(folder):
        for block, following in zip(listed, [*listed[1:], None], strict=True):
            if block.language != "python" or block.title:
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
            if following and following.language == "text":
                expected, got = following.code, printed.getvalue()
                assert agree(expected, got), f"{page}, line {following.line}:\n{expected}\nbut it printed\n{got}"


def agree(expected: str, got: str) -> bool:
    """Whether two outputs have the same words and about the same numbers."""
    if NUMBER.sub("#", expected).split() != NUMBER.sub("#", got).split():
        return False
    return all(
        math.isclose(float(a[0]), float(b[0]), rel_tol=0.25, abs_tol=3 * 10.0 ** -len(a[1] or ""))
        for a, b in zip(NUMBER.finditer(expected), NUMBER.finditer(got), strict=True)
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as working:
            run_page(Path(name).resolve(), Path(working))
            for picture in Path(working).glob("*.png"):
                shutil.copy(picture, Path(__file__).parent / "images")
