"""Statements and receipts on the web: for who may see the figures, checked with only the block, bounded."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from pool.chain.block import block_hash
from pool.proof.check import check_text
from pool.web.documents import DOCUMENTS_EACH
from tests.pool.proven_pool import ProvenPool
from tests.pool.test_store_queries import ADDRESS
from tests.pool.test_web_site import outline
from tests.pool.web_site import NAME, SECRET, Reply, Running


@attrs.frozen
class Proven:
    """A site, and the block that its pool found: shares 1 of an address, 2 and 3 of a pool account."""

    site: Running
    block: str

    def code(self, path: str) -> tuple[int, str]:
        reply = self.site.ask(path)
        return reply.status, reply.json["error"]["code"]


@pytest.fixture
def proven(tmp_path: Path) -> Proven:
    site = Running(tmp_path)
    pool = ProvenPool(tmp_path, site.shares, site.ledger)
    pool.mine([NAME, ADDRESS])
    return Proven(site, block_hash(pool.find(NAME)))


def assert_proven(reply: Reply, block: str, name: str) -> None:
    assert reply.status == 200
    assert check_text(reply.text, block).ok
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert reply.headers["Cache-Control"] == "no-store"


def test_an_addresss_credit_and_shares_are_proven_to_everybody(proven: Proven) -> None:
    statement = proven.site.ask(f"/api/v1/blocks/{proven.block}/statement/{ADDRESS}")
    assert_proven(statement, proven.block, f"statement-200-{ADDRESS}.json")
    assert statement.headers["Access-Control-Allow-Origin"] == "*"
    assert_proven(proven.site.ask(f"/api/v1/shares/2/receipt/{ADDRESS}"), proven.block, "receipt-2.json")
    page = outline(proven.site.ask(f"/u/{ADDRESS}").text)
    link = {"href": f"/api/v1/blocks/{proven.block}/statement/{ADDRESS}", "download": None}
    assert link in page.all("a")
    assert "sluice verify" in outline(proven.site.ask("/blocks").text).text


def test_a_pool_accounts_are_proven_only_behind_its_claim_link(proven: Proven) -> None:
    assert proven.code(f"/api/v1/blocks/{proven.block}/statement/{NAME}") == (404, "not_an_address")
    assert proven.code(f"/api/v1/shares/1/receipt/{NAME}") == (404, "not_an_address")
    assert proven.code(f"/api/v1/shares/1/receipt/{ADDRESS}") == (404, "no_such_share")
    page = outline(proven.site.ask(f"/a/{SECRET}").text)
    links = [str(link["href"]) for link in page.all("a") if "download" in link]
    assert links == [f"/a/{SECRET}/statement/{proven.block}", f"/a/{SECRET}/receipt"]
    assert_proven(proven.site.ask(links[0]), proven.block, f"statement-200-{NAME}.json")
    assert_proven(proven.site.ask(links[1]), proven.block, "receipt-1.json")
    for path in ("statement/" + proven.block, "receipt"):
        assert proven.site.ask(f"/a/{'x' * 43}/{path}").status == 404
        assert proven.site.ask(f"/account/{path}").status == 303  # to the log-in


def test_what_there_is_not_is_told_for_people_and_for_programs(proven: Proven) -> None:
    assert proven.code(f"/api/v1/blocks/{'ab' * 32}/statement/{ADDRESS}") == (404, "no_such_block")
    assert proven.code(f"/api/v1/shares/4/receipt/{ADDRESS}") == (404, "no_such_share")
    assert proven.code(f"/api/v1/shares/x/receipt/{ADDRESS}") == (404, "no_such_share")
    proven.site.ledger.execute("UPDATE block SET state = 'orphaned'")
    assert proven.code(f"/api/v1/blocks/{proven.block}/statement/{ADDRESS}") == (409, "orphaned")
    assert proven.code(f"/api/v1/shares/2/receipt/{ADDRESS}") == (409, "not_yet")
    reply = proven.site.ask(f"/a/{SECRET}/statement/{proven.block}")
    assert reply.status == 409
    assert "is not in the chain" in outline(reply.text).text


def test_nobody_can_have_the_disk_read_without_end(proven: Proven) -> None:
    path = f"/api/v1/blocks/{proven.block}/statement/{ADDRESS}"
    forwarded = [("X-Forwarded-For", "198.51.100.7")]
    seen = [proven.site.ask(path, "GET", forwarded).status for _ in range(DOCUMENTS_EACH.size + 2)]
    assert seen == [200] * DOCUMENTS_EACH.size + [429] * 2
    assert proven.site.ask(path, "GET", [("X-Forwarded-For", "198.51.100.8")]).status == 200
