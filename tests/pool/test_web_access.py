"""Access: what the log keeps of a request, and whose POST is ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import capturedLogs
from twisted.web.test.requesthelper import DummyRequest

from pool.accounts import new_secret
from pool.web.access import MOST_BODY, redacted, visitor
from tests.pool.web_site import Running


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        (b"/", "/"),
        (b"/blocks?page=2", "/blocks"),
        (b"/static/style.css", "/static/style.css"),
        (b"/api/v1/pool", "/api/v1/pool"),
        (b"/api/v1/account/bcrt1qxyz", "/api/v1/account/…"),
        (b"/u/bcrt1qxyz", "/u/…"),
        (b"/a/secret", "/a/…"),
        (b"//a/secret", "/a/…"),
        (b"/%61/secret", "/a/…"),
        (b"/lnurl/w/token?k1=1", "/lnurl/…"),
        (b"/lnurl/w/token/cb?k1=00&pr=lnbc", "/lnurl/…/cb"),
        (b"/A/secret", "/…"),
        (b"/static/../a/secret\nForged", "/…"),
        (b"/blocks%0aForged", "/…"),
    ],
)
def test_only_what_is_harmless_is_kept_of_a_path(uri: bytes, kept: str) -> None:
    assert redacted(uri) == kept


@given(
    st.binary(min_size=32, max_size=32),
    st.sampled_from(
        ["", "a/", "start/", "u/", "api/v1/", "static/", "lnurl/w/", "metrics/x/", "./a/", "?s="]
    ),
    st.sampled_from(["", "/", "/cb", "?x=1", "%20", "."]),
)
def test_a_secret_anywhere_in_a_path_is_never_kept(entropy: bytes, before: str, after: str) -> None:
    secret = new_secret(entropy)
    assert secret not in redacted(f"/{before}{secret}{after}".encode())


def test_the_access_log_has_status_and_redacted_path(tmp_path: Path) -> None:
    running = Running(tmp_path)
    with capturedLogs() as events:
        running.ask("/a/secret?x=y", headers=[("Referer", "https://pool.example/a/other")])
    [event] = [event for event in events if "Answered" in str(event.get("log_format"))]
    assert (event["method"], event["path"], event["status"]) == ("GET", "/a/…", 404)
    assert "other" not in repr(event)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([("Origin", "https://pool.example")], 200),
        ([("Origin", "http://pool.example")], 200),
        ([("Sec-Fetch-Site", "none")], 403),
        ([("Origin", "https://pool.example.evil")], 403),
        ([("Sec-Fetch-Site", "cross-site"), ("Origin", "https://pool.example")], 403),
        ([("Origin", "null")], 403),
    ],
)
def test_a_post_counts_when_it_comes_from_our_own_page(
    tmp_path: Path, headers: list[tuple[str, str]], status: int
) -> None:
    assert Running(tmp_path).ask("/start", "POST", headers).status == status


def test_a_body_that_is_longer_than_any_form_ends_the_connection(tmp_path: Path) -> None:
    running = Running(tmp_path)
    path = "/prove/bcrt1q50rtrmj2f8vl9tem8qpfw36ylw5jg9j2dkku3w"
    assert running.ask(path, "POST", body="x" * MOST_BODY).status == 404
    with pytest.raises(IndexError):  # there is no status, nor anything else
        running.ask(path, "POST", body="x" * (MOST_BODY + 1))


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("93.184.215.14", None, "93.184.215.14"),
        ("93.184.215.14", "1.2.3.4", "93.184.215.14"),  # its own word for itself
        ("127.0.0.1", "9.9.9.9, 1.2.3.4", "1.2.3.4"),  # what the proxy has added
        ("127.0.0.1", "1.2.3.4, unknown", None),
        ("127.0.0.1", None, None),  # an onion service
        ("10.0.0.7", None, None),
        ("2600:1406:bc00:53::b81e:94ce", None, "2600:1406:bc00:53::/64"),
        ("::1", "2600:1406:bc00:53:ffff::1", "2600:1406:bc00:53::/64"),
    ],
)
def test_a_visitor_is_the_peer_or_whom_the_proxy_names(
    peer: str, forwarded: str | None, who: str | None
) -> None:
    kind: Any = IPv6Address if ":" in peer else IPv4Address
    request: Any = DummyRequest([])
    request.client = kind("TCP", peer, 1)
    if forwarded is not None:
        request.requestHeaders.setRawHeaders("X-Forwarded-For", [forwarded])
    assert visitor(request) == who
