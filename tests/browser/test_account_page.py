"""The account page as a phone and a desktop show it: the QR code on the screen is the withdraw link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payouts.lnurl import make_token, qr_text
from pool.regtest.qr import read
from tests.browser.chromium import find, grey, screenshot, served
from tests.pool.web_site import KEY, NAME, SECRET, Running

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("width", "height", "dark"), [(390, 844, False), (390, 844, True), (1280, 800, False)]
)
def test_the_code_on_the_screen_is_the_withdraw_link(
    tmp_path: Path, width: int, height: int, *, dark: bool
) -> None:
    browser = find()
    assert browser is not None
    running = Running(tmp_path / "store")
    running.fill()
    running.payable(123_456)
    picture = tmp_path / "page.png"
    with served(running) as url:
        screenshot(browser, f"{url}/a/{SECRET}", picture, width=width, height=height, dark=dark)
    link = re.search(r'href="lnurlw(://[^"]+)"', running.ask(f"/a/{SECRET}").text)
    assert link is not None
    # on a phone the code is on the first screen, without scrolling
    assert read(*grey(picture.read_bytes())) == [qr_text(f"https{link[1]}")]


def test_a_phone_reads_the_card_on_the_settings_page(tmp_path: Path) -> None:
    browser = find()
    assert browser is not None
    running = Running(tmp_path / "store")
    running.post(f"/a/{SECRET}/settings", do="card")
    picture = tmp_path / "page.png"
    with served(running) as url:
        screenshot(browser, f"{url}/a/{SECRET}/settings", picture, width=390, height=1800)
    token = make_token(KEY, NAME, 0, running.desk.access.card_number(NAME))
    assert read(*grey(picture.read_bytes())) == [qr_text(f"https://pool.example/lnurl/w/{token}")]
