"""The root of the HTTP tree: the site, and the wallets' routes beside it, each with its whole path."""

from __future__ import annotations

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request


class Root(Resource):
    """Klein apps match paths from the root on, so neither can be a child of the other."""

    isLeaf = True  # noqa: N815 -- Twisted's spelling

    def __init__(self, site: IResource, wallets: IResource | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._site = site
        self._wallets = wallets

    def render(self, request: Request) -> bytes | int:
        """Pass the request on, whole."""
        segments = request.postpath or []
        chosen = self._wallets if self._wallets is not None and segments[:1] == [b"lnurl"] else self._site
        rendered: bytes | int = chosen.render(request)  # type: ignore[no-untyped-call]
        return rendered
