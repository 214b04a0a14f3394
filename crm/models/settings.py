"""What an admin sets for the whole installation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB


class Setting(Model):
    """One setting that somebody has changed; `services/settings.py` knows names and defaults."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[Any] = mapped_column(JsonB)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
