"""Hands one e-mail to a mail server."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

SECONDS = 20


def send_text(
    *,
    host: str,
    port: int,
    security: str,
    user: str | None,
    password: str | None,
    sender: str,
    recipient: str,
    subject: str,
    text: str,
) -> None:
    """Send plain text, or raise smtplib.SMTPException or OSError.

    `security` is "tls", "starttls" or "none". EmailMessage refuses line breaks in headers.
    """
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if security == "tls":
        server = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=SECONDS)
    with server:
        if security == "starttls":
            server.starttls(context=context)
        if user and password:
            server.login(user, password)
        server.send_message(message)
