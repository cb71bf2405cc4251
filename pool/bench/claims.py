"""The wallets' door under load: which figures there are, how each is measured, what is held against what."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from payouts.money import Msat
from payouts.values import PaymentState
from pool import ledger
from pool.accounts import hash_secret
from pool.bench.electrum import FEE, PASSWORD, USER, BenchElectrum
from pool.bench.process import BenchError
from pool.bench.wallets import AMOUNT, Stretch, Told, Wallets
from pool.regtest.errors import NotReady
from pool.regtest.processes import Program, free_ports, listens, wait_until
from pool.rewards.split import Division
from pool.store.database import FILES, connect, connect_to_read
from pool.store.inbox import InboxReader
from pool.store.ledger import LedgerStore, NewAccount
from pool.store.payments import SqliteBook

Figures = dict[str, float | int | bool]
_KEY: Final = sha256(b"the server key of a benchmark").digest()
_STARTS_WITHIN_S: Final = 60.0
_ENDS_WITHIN_S: Final = 60.0
_MILLI: Final = 1e3
_FLOAT: Final = Msat(100_000_000_000)
_ADDRESSES: Final = 2


@attrs.frozen
class Plan:
    """How much is measured.

    Attributes:
        claims_per_s: the fixed pace at which answers are timed.
        paced: claims at that pace.
        at_once: wallets that claim as fast as they are answered.
        rushed: claims of theirs, all together.
        accounts: how many miners the claims are shared among.
    """

    claims_per_s: float = 50.0
    paced: int = 1_000
    at_once: int = 16
    rushed: int = 500
    accounts: int = 500


QUICK: Final = Plan(claims_per_s=20.0, paced=20, at_once=4, rushed=20, accounts=20)


def measure(plan: Plan, say: Callable[[str], None], directory: Path | None = None) -> Figures:
    """Start node stand-in, web, payer and wallets, and measure everything.

    Args:
        plan: how much.
        say: told what is being done.
        directory: for the store, on the disk to be measured; None takes a temporary one.

    Returns:
        The figures by name, as docs/benchmarks.md explains them.

    Raises:
        BenchError: something did not start or did not end, or most claims were refused.
    """
    accounts = [f"bench-{number:05d}" for number in range(plan.accounts)]
    with (
        tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=directory) as place,
        BenchElectrum() as node,
    ):
        store = Path(place).resolve() / "store"
        prepare_store(store, accounts, plan)
        with ExitStack() as stack:
            port = _start(stack, store, node.url)
            wallets = stack.enter_context(Wallets(port, _KEY, accounts))
            say(f"{plan.paced + plan.rushed} invoices are made")
            wallets.prepare(plan.paced + plan.rushed)
            say(f"{plan.paced} claims, {plan.claims_per_s:g} a second")
            paced = wallets.pace(plan.claims_per_s, plan.paced)
            say(f"{plan.rushed} claims of {plan.at_once} wallets, as fast as they are answered")
            rushed = wallets.rush(plan.at_once, plan.rushed)
            _wait_until_paid(store)
        return _figures(paced, rushed, node, store)


def prepare_store(directory: Path, accounts: Sequence[str], plan: Plan) -> None:
    """What book and payer leave in the files: accounts with a balance for all their claims, and addresses."""
    for name in FILES:
        connect(directory, name).close()
    (directory / "server.key").write_bytes(_KEY)
    claims = -(-(plan.paced + plan.rushed) // plan.accounts) + 1
    shares = {name: Msat(2 * claims * AMOUNT) for name in accounts}
    value = Msat(sum(shares.values()) + 1)
    rewarded = ledger.reward("00" * 32, 0, Division(value, Msat(1), Msat(0), Msat(0), shares), {})
    with closing(connect(directory, "ledger")) as connection:
        books = LedgerStore(connection)
        books.take_over_accounts([NewAccount(name, hash_secret(name), 0) for name in accounts])
        scripts = [bytes.fromhex("0014") + bytes([number]) * 20 for number in range(_ADDRESSES)]
        books.add_addresses([(script.hex(), script) for script in scripts], 0)
        books.post(ledger.deposit("bench", "lightning", _FLOAT), 0)
        books.post(rewarded, 0)
        books.post(ledger.mature("00" * 32, 0, rewarded), 0)


def configuration(node_url: str, port: int, store: Path) -> str:
    """The sluice.toml: an operator's, with nothing but defaults for how claims are paid."""
    login = f'user = "{USER}"\npassword = "{PASSWORD}"'
    return f"""[node]
network = "regtest"
url = {json.dumps(node_url)}
payer = {{ user = "{USER}", password = "{PASSWORD}" }}

[lightning]
url = {json.dumps(node_url)}
{login}

[onchain]
address_stock = {_ADDRESSES}

[web]
listen = ["tcp:{port}:interface=127.0.0.1"]

[store]
directory = {json.dumps(str(store))}
"""


def _start(stack: ExitStack, store: Path, node_url: str) -> int:
    """Start web and payer for as long as the stack lasts; answers the site's port."""
    (port,) = free_ports(1)
    config = store.parent / "sluice.toml"
    config.write_text(configuration(node_url, port, store), "utf-8")
    try:
        for role in ("payer", "web"):
            command = [sys.executable, "-m", "pool", "run", "--role", role, "--config", str(config)]
            program = Program(role, command, store.parent / f"{role}.log", directory=store.parent)
            stack.callback(program.stop)
            program.start()
        program.wait_until("the site's port is open", lambda: listens(port), _STARTS_WITHIN_S)
    except NotReady as error:
        raise BenchError(str(error)) from error
    return port


def _wait_until_paid(store: Path) -> None:
    with closing(connect_to_read(store, "ledger")) as connection:
        book = SqliteBook(connection, lambda _: False)
        try:
            wait_until("every payment has ended", lambda: not book.open_payments(), _ENDS_WITHIN_S)
        except NotReady as error:
            raise BenchError(str(error)) from error


def _figures(paced: Stretch, rushed: Stretch, node: BenchElectrum, store: Path) -> Figures:
    told = [*paced.told, *rushed.told]
    refused = sum(1 for each in told if each.reason is not None and not each.rival)
    if refused * 2 > len(told):
        reasons = {each.reason for each in told if each.reason is not None}
        raise BenchError(f"{refused} of {len(told)} callbacks were refused: {sorted(map(str, reasons))[:3]}")
    answers = sorted(each.answer_s * _MILLI for each in paced.told)
    starts = _starts_ms(paced.told, node, store)
    return {
        "claims_per_s": round(len(_paid(rushed.told)) / rushed.seconds, 1),
        "answer_ms_p50": round(_quantile(answers, 50), 1),
        "answer_ms_p99": round(_quantile(answers, 99), 1),
        "payment_start_ms_p50": _quantile(starts, 50),
        "payment_start_ms_p99": _quantile(starts, 99),
        "claims": len(_paid(told)),
        "refused": refused,
        "paid_exactly_once": paid_exactly_once(told, node, store),
    }


def _paid(told: Sequence[Told]) -> set[str]:
    """Payment hashes of what wallets were told OK for."""
    return {each.payment_hash for each in told if each.reason is None}


def _starts_ms(told: Sequence[Told], node: BenchElectrum, store: Path) -> list[int]:
    """From the moment at which the web filed a claim to that at which the node was first asked to pay."""
    with closing(connect_to_read(store, "inbox")) as connection:
        filed_ms = {claim.invoice: claim.filed_ms for claim in InboxReader(connection).claims_due(0)}
    started = {
        each.invoice: node.asked[each.payment_hash] for each in told if each.payment_hash in node.asked
    }
    return sorted(asked.asked_ms[0] - filed_ms[invoice] for invoice, asked in started.items())


def paid_exactly_once(told: Sequence[Told], node: BenchElectrum, store: Path) -> bool:
    """Whether three accounts of it agree.

    The node has paid once whatever a wallet was told OK for, and nothing else; and the books have settled
    those payments with their amount and fee, hold nothing back, and have lost just what the node spent.
    """
    once = {payment_hash for payment_hash, asked in node.asked.items() if asked.paid == 1}
    with closing(connect_to_read(store, "ledger")) as connection:
        payments = SqliteBook(connection, lambda _: False).payments(limit=len(told) + 1)
        balances = LedgerStore(connection).balances()
    settled = {each.payment_hash for each in payments if each.state is PaymentState.SETTLED}
    right = all((each.amount, each.fee) == (AMOUNT, FEE) for each in payments)
    spent = _FLOAT - balances[ledger.LIGHTNING]
    held = sum(amount for name, amount in balances.items() if name.endswith(":held"))
    return (
        set(node.asked) == once == settled == _paid(told)
        and right
        and spent == len(once) * (AMOUNT + FEE)
        and held == 0
    )


def _quantile(ordered: Sequence[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]
