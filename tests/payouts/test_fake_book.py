"""The fake book keeps the promises of every book, so that what is tried on it means something."""

from __future__ import annotations

from collections.abc import Mapping

from payouts.ports import Book
from tests.contracts.book import BookContract
from tests.payouts.fake_book import FakeBook


class TestFakeBook(BookContract):
    def make_book(self, balances: Mapping[str, int]) -> Book:
        return FakeBook.with_balances(balances)
