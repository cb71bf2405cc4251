"""The kinds of node that are simulated: how each is made, and what is particular about it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from payouts.lightning import cln, electrum, lnd, phoenixd
from tests.payouts.lightning import electrum_daemon, test_cln, test_lnd, test_phoenixd
from tests.payouts.lightning.simulator import Bench


@attrs.frozen
class Kind:
    """A simulated node.

    Attributes:
        name: as the configuration has it.
        make: a node with an adapter on it; its credential may be given.
        pays: what the call that pays is named.
        tells: what the call is named that tells a payment's state.
        decodes: what the call is named that reads an invoice, if it has one.
        patience_s: after so long a silent call that pays is given up.
        margin_s: so long after its expiry a payment never seen has failed.
        quiet_s: so long after a lost request it may be sent again.
    """

    name: str
    make: Callable[..., Bench]
    pays: str
    tells: str
    decodes: str | None
    patience_s: float
    margin_s: int
    quiet_s: float = 0


KINDS = (
    Kind("electrum", electrum_daemon.bench_of, "lnpay", "get_invoice", None, 61, electrum.EXPIRY_MARGIN_S),
    Kind("lnd", test_lnd.bench_of, "v2/router/send", "track", "payreq", 66, lnd.EXPIRY_MARGIN_S),
    Kind("cln", test_cln.bench_of, "xpay", "listpays", "decode", 91, cln.EXPIRY_MARGIN_S, test_cln.QUIET_S),
    Kind(
        "phoenixd",
        test_phoenixd.bench_of,
        "payinvoice",
        "byhash",
        "decodeinvoice",
        61,
        phoenixd.EXPIRY_MARGIN_S,
    ),
)
