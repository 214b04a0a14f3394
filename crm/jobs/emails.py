"""Sends an e-mail that waits: claims it, writes it, hands it over, records what came of it."""

from __future__ import annotations

import smtplib

import structlog
from flask import current_app, render_template
from flask_babel import force_locale
from flask_babel import gettext as _

from crm.config import Config, MailServer
from crm.db import atomic
from crm.doorbell import job
from crm.lib.smtp import send_text
from crm.models import EmailKind, EmailStatus, LinkPurpose
from crm.services import account_links, alarms, emails
from crm.services.emails import Claimed

log = structlog.get_logger(__name__)

LINKS = {EmailKind.INVITE: LinkPurpose.INVITE, EmailKind.RESET: LinkPurpose.RESET}


@job("emails.send")
def send(email_id: int) -> None:
    """One e-mail. A failure is tried again by the clock, later each time."""
    config: Config = current_app.config["CRM"]
    with atomic():
        claimed = emails.claim_email(email_id)
    if claimed is None:
        return
    if config.mail_server is None:
        with atomic():
            emails.finish_email(claimed.id, EmailStatus.DROPPED)
        return
    letter = write(claimed, base=config.public_url or "")
    if letter is None:
        with atomic():
            emails.finish_email(claimed.id, EmailStatus.DROPPED)
        return
    deliver(claimed, config.mail_server, *letter)


def write(claimed: Claimed, *, base: str) -> tuple[str, str, str] | None:
    """(address, subject, text); None if there is nobody to write to. A link is made here."""
    with atomic():
        user = emails.find_addressee(claimed)
        if user is None:
            return None
        link = None
        if purpose := LINKS.get(claimed.kind):
            token = account_links.create_link(user, purpose)
            link = f"{base}/account/link/{token}"
        address, name, language = user.email, user.first_name, user.language
        alarm = alarms.load_for_email(claimed.alarm_id) if claimed.alarm_id else None
    with force_locale(language):
        spoken = alarms.speak_of(alarm, translate=_) if alarm is not None else None
        subjects = {
            EmailKind.INVITE: _("Your account at Charla"),
            EmailKind.RESET: _("A new password for Charla"),
            EmailKind.PASSWORD_CHANGED: _("Your password was changed"),
            EmailKind.TWO_FACTOR_CHANGED: _("Your second factor was changed"),
            EmailKind.ALARM: spoken.title if spoken else "",
        }
        text = render_template(
            f"emails/{claimed.kind}.txt", name=name, link=link, base=base, spoken=spoken
        )
    return address, subjects[claimed.kind], text


def deliver(claimed: Claimed, server: MailServer, address: str, subject: str, text: str) -> None:
    """Outside any transaction: a mail server may take its time."""
    try:
        send_text(
            host=server.host,
            port=server.port,
            security=server.security,
            user=server.user,
            password=server.password,
            sender=server.sender,
            recipient=address,
            subject=subject,
            text=text,
        )
    except (smtplib.SMTPException, OSError, ValueError) as error:
        # The type alone: a server's words may repeat the address.
        log.warning("email_not_sent", email_id=claimed.id, error=type(error).__name__)
        with atomic():
            emails.postpone_email(claimed, error=type(error).__name__)
    else:
        with atomic():
            emails.finish_email(claimed.id, EmailStatus.SENT)
