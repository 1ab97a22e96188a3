"""The built web page below /ui/: files as they are, the page itself for every other address."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

router = APIRouter(include_in_schema=False)

STATIC = (Path(__file__).parent.parent / "static").resolve()
_MISSING = """<!doctype html><html lang="en"><title>Paceline</title>
<p>The web page is not built. Run <code>make setup</code>, then reload.</p></html>"""


@router.get("/")
async def open_page() -> Response:
    """To the page."""
    return RedirectResponse("/ui/")


@router.get("/ui")
async def open_page_with_slash() -> Response:
    """To the page."""
    return RedirectResponse("/ui/")


@router.get("/ui/{path:path}")
async def serve_page(path: str) -> Response:
    """A file of the build, else the page, which finds its own way by the address."""
    file = _file(path)
    if file is not None:
        immutable = path.startswith("assets/")
        return FileResponse(file, headers={"cache-control": "public, max-age=31536000, immutable"} if immutable else {})
    index = STATIC / "index.html"
    if not index.is_file():
        return HTMLResponse(_MISSING, 503)
    return FileResponse(index, headers={"cache-control": "no-cache"})


def _file(path: str) -> Path | None:
    """A file of the build; None for everything else, names that no file system takes included."""
    try:
        file = (STATIC / path).resolve()
        return file if path and file.is_relative_to(STATIC) and file.is_file() else None
    except (OSError, ValueError):
        return None
