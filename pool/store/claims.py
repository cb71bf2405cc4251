"""What the web reads of the books to answer a wallet: accounts, payable balances, and the payer's answers."""

from __future__ import annotations

from payouts.money import Msat
from payouts.values import Answer, Claim, PaymentState
from pool.store.access import AccessReader


class ClaimReader(AccessReader):
    """Reads ``ledger.db``; writes nothing."""

    def account_exists(self, name: str) -> bool:
        """Whether the books have a pool account of this name."""
        row = self._connection.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone()
        return row is not None

    def accounts(self) -> set[str]:
        """The names of all pool accounts."""
        return {str(name) for (name,) in self._connection.execute("SELECT name FROM account")}

    def available(self, account: str) -> Msat:
        """The account's available balance (a credit balance: negative in the table, positive here)."""
        row = self._connection.execute(
            "SELECT -amount_msat FROM balance WHERE account = ?", (f"liabilities:miners:{account}:available",)
        ).fetchone()
        return Msat(0 if row is None else row[0])

    def claims_taken(self, account: str) -> int:
        """How many claims were ever taken: the counter in k1."""
        row: tuple[int] = self._connection.execute(
            "SELECT count(*) FROM claim WHERE account = ? AND taken = 1", (account,)
        ).fetchone()
        return row[0]

    def taken_with(self, k1_hash: str) -> Answer | None:
        """The answer of the one claim that was taken with this k1."""
        return self._answer(f"{_SELECT_ANSWER} WHERE claim.k1_hash = ? AND claim.taken = 1", k1_hash)

    def answer_to(self, claim: Claim) -> Answer | None:
        """The payer's answer to a claim.

        The k1 and the invoice are compared too, so that an inbox which was lost and begun anew, with numbers
        from one, can never read another claim's answer as its own.
        """
        return self._answer(
            f"{_SELECT_ANSWER} WHERE claim.claim_id = ? AND claim.k1_hash = ? AND claim.invoice = ?",
            claim.claim_id,
            claim.k1_hash,
            claim.invoice,
        )

    def _answer(self, query: str, *values: str | int) -> Answer | None:
        row = self._connection.execute(query, values).fetchone()
        if row is None:
            return None
        invoice, taken, state, reason = row
        return Answer(invoice, bool(taken), None if state is None else PaymentState(state), reason)


_SELECT_ANSWER = (
    "SELECT claim.invoice, claim.taken, payment.state, coalesce(claim.reason, payment.reason)"
    " FROM claim LEFT JOIN payment USING (claim_id)"
)
