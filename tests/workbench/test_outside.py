"""What sandboxes asked of the network survives a database that is away."""

import asyncio

import pytest
from django.db import DataError, InterfaceError, OperationalError

from apps.compute.egress import Rule
from apps.compute.services.egress import Use
from apps.core.errors import NotAllowed, Unavailable
from apps.workbench.live import outside

ASKED = ("job-1", "example.org", 443, False)


@pytest.fixture
def database(monkeypatch):
    """The database as `Outside` sees it: rows by what was asked, and the error that it answers with while away."""

    class Database:
        rows, rules, away = {}, [], None

        def record(self, uses):
            self.answer()
            for asked, use in uses.items():
                self.rows.setdefault(asked, Use()).add(use)

        def list(self):
            self.answer()
            return self.rules

        def answer(self):
            if self.away:
                raise self.away

    found = Database()
    monkeypatch.setattr(outside, "record_egress", found.record)
    monkeypatch.setattr(outside, "egress_rules", found.list)
    monkeypatch.setattr(outside, "KNOWS_S", -1.0)
    return found


async def refused(ways):
    with pytest.raises(NotAllowed):
        await ways._let_through("job-1", "example.org", 443)


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_what_was_asked_is_written_down_when_the_database_is_back(database, error):
    async def asked_twice():
        ways = outside.Outside()
        await refused(ways)
        database.away = error
        await ways._write_down()
        await refused(ways)
        database.away = None
        await ways._write_down()

    asyncio.run(asked_twice())
    assert database.rows == {ASKED: Use(connections=2)}


def test_rows_that_the_database_does_not_take_hold_up_no_others(database):
    async def asked_twice():
        ways = outside.Outside()
        await refused(ways)
        database.away = DataError("too long")
        await ways._write_down()
        database.away = None
        await refused(ways)
        await ways._write_down()

    asyncio.run(asked_twice())
    assert database.rows == {ASKED: Use(connections=1)}


def test_the_last_known_list_counts_while_the_database_is_away(database):
    database.rules = [Rule("example.org")]

    async def asked():
        ways = outside.Outside()
        before = await ways.rule_for("example.org", 443)
        database.away = OperationalError("gone")
        return before, await ways.rule_for("example.org", 443), await ways.rule_for("other.org", 443)

    before, meanwhile, other = asyncio.run(asked())
    assert before == meanwhile == Rule("example.org")
    assert other is None


def test_nothing_is_let_out_before_the_list_was_read(database):
    database.away = OperationalError("gone")
    with pytest.raises(Unavailable, match="try again"):
        asyncio.run(outside.Outside()._let_through("job-1", "example.org", 443))
