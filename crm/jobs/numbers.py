"""Counts what numbers do, asks their provider how they are, and watches for silence."""

from __future__ import annotations

from flask import current_app

from crm.db import atomic
from crm.doorbell import job
from crm.jobs.schedule import scheduled
from crm.services import number_figures, number_health


@job("numbers.count")
@scheduled("numbers.count")
def count() -> None:
    more = True
    while more:
        with atomic():
            more = number_figures.COUNTED.catch_up()
    with atomic():
        number_figures.set_last_messages()


@job("numbers.total")
@scheduled("numbers.total")
def total() -> None:
    with atomic():
        number_figures.set_totals()


@job("numbers.watch")
@scheduled("numbers.watch")
def watch() -> None:
    with atomic():
        number_health.watch_silence()


@job("numbers.refresh")
@scheduled("numbers.refresh")
def refresh() -> None:
    """One short call for each number, one after the other: Meta counts them by the account."""
    config = current_app.config["CRM"]
    with atomic():
        asked = number_health.find_numbers_to_ask(
            keys=config.encryption_keys, graph_url=config.meta_graph_url
        )
    for one in asked:
        said = number_health.ask(one)
        with atomic():
            number_health.apply(one.number_id, said)
