"""How a page leaves the site: status, headers, cookies and redirects."""

from __future__ import annotations

from twisted.web.iweb import IRequest

from pool.web.access import protect


def status(request: IRequest, code: int) -> None:
    """Set the status of the answer."""
    request.setResponseCode(code)  # type: ignore[no-untyped-call]  # zope's interface has no types


def typed(request: IRequest, content_type: str, body: bytes) -> bytes:
    """Name the type of the body; answers it."""
    request.responseHeaders.setRawHeaders("Content-Type", [content_type])
    return body


def html(request: IRequest, page: str, *, private: bool = False, referrer: str = "no-referrer") -> bytes:
    """A page with its headers; a private one is kept by no cache."""
    protect(request, private=private, referrer=referrer)
    return typed(request, "text/html; charset=utf-8", page.encode())


def see(request: IRequest, path: str) -> bytes:
    """Send the browser to another page of this site, with GET."""
    protect(request, private=True)
    status(request, 303)
    request.responseHeaders.setRawHeaders("Location", [path])
    return b""


def form(request: IRequest) -> dict[str, str]:
    """The fields of a form, each with its first value."""
    args: dict[bytes, list[bytes]] = request.args or {}
    return {name.decode("latin-1"): values[0].decode("utf-8", "replace") for name, values in args.items()}
