"""Reads the accounts' templates from Meta."""

from __future__ import annotations

import structlog
from flask import current_app

from crm.db import atomic
from crm.doorbell import job, ring
from crm.errors import DomainError
from crm.jobs.schedule import scheduled
from crm.services import templates

log = structlog.get_logger(__name__)


@job("templates.sync")
def sync(number_id: int) -> None:
    """The account of this number, for all its numbers."""
    try:
        templates.sync_templates(int(number_id), config=current_app.config["CRM"])
    except DomainError as error:
        # Said on the page when somebody asks for it; by itself it comes again within the hour.
        log.warning("templates_not_synced", number_id=number_id, code=error.code)


@job("templates.sync_all")
@scheduled("templates.sync_all")
def sync_all() -> None:
    """Each account once."""
    with atomic():
        accounts = templates.find_accounts()
    for number_id in accounts:
        ring("templates.sync", number_id)
