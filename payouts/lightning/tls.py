"""Which server a node's https address leads to: the one whose certificate, or authority, is pinned."""

from __future__ import annotations

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


@implementer(IPolicyForHTTPS)
class Pinned:
    """Trusts one certificate and nothing else: LND's ``tls.cert``, Core Lightning's ``ca.pem``.

    The name in the address must be one that the server's certificate was made for.

    Args:
        pem: the certificate.

    Raises:
        OpenSSL.crypto.Error: the text is none.
    """

    def __init__(self, pem: bytes) -> None:
        certificate = Certificate.loadPEM(pem)
        self._root = trustRootFromCertificates([certificate])  # type: ignore[no-untyped-call]

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:  # noqa: N802
        """See IPolicyForHTTPS."""
        return optionsForClientTLS(hostname.decode("ascii"), trustRoot=self._root)
