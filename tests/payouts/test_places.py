"""URLs of strangers: which are asked for, and what is asked for then."""

from __future__ import annotations

import pytest

from payouts.places import NotFetched, Place, place

ONION = "a" * 56 + ".onion"


@pytest.mark.parametrize(
    "url",
    [
        "http://ln.example.com/",
        "ftp://ln.example.com/",
        "file:///etc/passwd",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://ln.example.com:22/",
        "https://user:pass@ln.example.com/",
        "https://ln.example.com\\@127.0.0.1/",
        "https://ln.example.com /",
        "https://ln.example.com/\r\nX: y",
        "https://ln.exämple.com/",
        "https://ln.example.com:99999/",
        "https:///x",
        "//ln.example.com/",
        "https://-a.example/",
        "http://" + ONION + ".example.com/",
        "",
    ],
)
def test_such_a_url_is_not_asked_for(url: str) -> None:
    assert isinstance(place(url, frozenset({443})), NotFetched)


def test_a_url_is_put_together_from_what_was_checked() -> None:
    found = place("https://LN.Example.com./a?b=c&d#e", frozenset({443}))
    assert found == Place(True, "ln.example.com", 443, "/a?b=c&d")
    assert isinstance(found, Place)
    assert found.url == b"https://ln.example.com/a?b=c&d"


def test_what_is_shown_of_a_place_keeps_its_secrets() -> None:
    assert "t0psecret" not in repr(place("https://ln.example.com/a?token=t0psecret"))
