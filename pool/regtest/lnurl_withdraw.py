"""The miner's side of an LNURL withdrawal, spoken by Electrum's own code under Electrum's own Python.

A conversation in JSON lines, so that the invoice can come from the wallet's daemon in between:

    in   {"lnurl": "LNURL1…", "ca_path": "…"}
    out  {"minimum_sat": …, "maximum_sat": …, "description": "…"}
    in   {"invoice": "lnbcrt…"}
    out  {"accepted": true}

At any point ``{"refused": "reason"}`` ends it.  k1 and the callback stay in here.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from typing import Any


def _read() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)
    return dict(json.loads(line))


def _write(**answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _converse(lnurl: Any, util: Any) -> None:
    asked = _read()
    # Electrum trusts the public authorities only; the pool under test has a certificate of its own
    util.ca_path = asked["ca_path"]
    util._asyncio_event_loop = asyncio.get_running_loop()  # noqa: SLF001  # what its daemon sets at start
    offer = await lnurl.request_lnurl(lnurl.decode_lnurl(asked["lnurl"]))
    if not isinstance(offer, lnurl.LNURL3Data):
        _write(refused="this is not a withdrawal")
        return
    _write(
        minimum_sat=offer.min_withdrawable_sat,
        maximum_sat=offer.max_withdrawable_sat,
        description=offer.default_description,
    )
    invoice = _read()["invoice"]
    await lnurl.request_lnurl_withdraw_callback(offer.callback_url, offer.k1, invoice)
    _write(accepted=True)


def _main() -> None:
    # our own folder holds modules with the names of theirs
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    lnurl = importlib.import_module("electrum.lnurl")
    util = importlib.import_module("electrum.util")
    try:
        asyncio.run(_converse(lnurl, util))
    except Exception as error:  # noqa: BLE001  # whatever it is, the test must see it as the wallet's answer
        _write(refused=str(error) or type(error).__name__)


if __name__ == "__main__":
    _main()
