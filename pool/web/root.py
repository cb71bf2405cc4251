"""The root of the HTTP tree: the site, owners' pages and wallets' routes, each with its whole path."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request


class Root(Resource):
    """Klein apps match paths from the root on, so none can be a child of another.

    Args:
        site: what answers everything else.
        parts: what answers the paths that begin with a certain segment.
    """

    isLeaf = True  # noqa: N815 -- Twisted's spelling

    def __init__(self, site: IResource, parts: Mapping[bytes, IResource]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._site = site
        self._parts = parts

    def render(self, request: Request) -> bytes | int:
        """Pass the request on, whole."""
        first = (request.postpath or [b""])[0]
        rendered: bytes | int = self._parts.get(first, self._site).render(request)  # type: ignore[no-untyped-call]
        return rendered
