"""Seals the audit trail, and notes the chain's head outside the database."""

from __future__ import annotations

import structlog
from flask import current_app

from crm.config import Config
from crm.db import atomic, db
from crm.doorbell import job
from crm.jobs.schedule import scheduled
from crm.services import audit

log = structlog.get_logger(__name__)


@job("audit.seal")
@scheduled("audit.seal")
def seal() -> None:
    config: Config = current_app.config["CRM"]
    while True:
        with atomic():
            sealed = audit.seal_rows(config.audit_key)
        if sealed < audit.AT_ONCE:
            break
    head = audit.find_head()
    db.session.rollback()
    if head is not None and audit.append_head(audit.heads_path(config.data_dir), head):
        # In the log too: where the disk is thrown away with the machine, the log is kept elsewhere.
        log.info("audit_head", position=head.position, seal=head.seal)
