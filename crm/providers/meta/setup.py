"""What Meta says of a number's connection: its token, the number, the account, the subscription.

Source: Meta's Graph API v23.0: `debug_token`, `GET /{phone-number-id}`, `/{waba}/phone_numbers`,
`/{waba}/subscribed_apps`, and the `appsecret_proof` of "Securing Graph API Requests".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from crm.lib.timed_http import TimedHttp
from crm.providers.meta.management import Account, Json, ManagementClient

# A person waits for it, and several calls follow each other.
SECONDS = 8.0
NUMBER_FIELDS = (
    "id,display_phone_number,verified_name,quality_rating,status,name_status,"
    "whatsapp_business_manager_messaging_limit,messaging_limit_tier"
)


@dataclass(frozen=True)
class TokenFacts:
    """What a token is. `expires_at` None: it does not expire. `scopes` are Meta's names."""

    is_valid: bool
    app_id: str | None
    scopes: frozenset[str]
    expires_at: datetime | None
    message: str = ""


@dataclass(frozen=True)
class NumberFacts:
    """A number as Meta shows it. Quality GREEN, YELLOW, RED, UNKNOWN; tier like TIER_2K."""

    phone_number_id: str
    phone: str
    name: str
    quality: str | None
    tier: str | None
    status: str | None


class SetupClient(ManagementClient):
    """Asks; changes nothing but the subscription."""

    refused = "Meta does not know this ID, or does not show it to this token."

    def __init__(self, http: TimedHttp | None = None) -> None:
        super().__init__(http or TimedHttp(total_seconds=SECONDS))

    def inspect_token(self, account: Account) -> TokenFacts:
        """The token asks about itself."""
        query = urlencode({"input_token": account.access_token})
        data = self._get(account, f"debug_token?{query}").get("data")
        data = data if isinstance(data, dict) else {}
        expires = data.get("expires_at")
        return TokenFacts(
            is_valid=bool(data.get("is_valid")),
            app_id=str(data["app_id"]) if data.get("app_id") else None,
            scopes=frozenset(map(str, data.get("scopes") or ())),
            expires_at=_moment(expires),
            message=str((data.get("error") or {}).get("message") or "")[:300],
        )

    def read_number(self, account: Account, phone_number_id: str) -> NumberFacts:
        path = f"{quote(phone_number_id, safe='')}?{urlencode({'fields': NUMBER_FIELDS})}"
        return _number(self._get(account, path))

    def prove_secret(self, account: Account, phone_number_id: str, secret: str) -> None:
        """A call signed with the app secret; Meta refuses it if the secret is another app's."""
        proof = hmac.new(secret.encode(), account.access_token.encode(), hashlib.sha256)
        query = urlencode({"fields": "id", "appsecret_proof": proof.hexdigest()})
        self._get(account, f"{quote(phone_number_id, safe='')}?{query}")

    def list_number_ids(self, account: Account) -> list[str]:
        body = self._get(account, f"{quote(account.account_id, safe='')}/phone_numbers?fields=id")
        return [str(row.get("id")) for row in body.get("data") or () if isinstance(row, dict)]

    def list_subscribed_apps(self, account: Account) -> list[str]:
        """The ids of the apps that get the account's webhooks."""
        body = self._get(account, f"{quote(account.account_id, safe='')}/subscribed_apps")
        rows = [row for row in body.get("data") or () if isinstance(row, dict)]
        apps = (row.get("whatsapp_business_api_data") for row in rows)
        return [str(app.get("id")) for app in apps if isinstance(app, dict)]

    def subscribe(self, account: Account) -> None:
        """Let the token's app get the account's webhooks. Harmless when repeated."""
        self._post(account, f"{quote(account.account_id, safe='')}/subscribed_apps", {})


def _number(body: Json) -> NumberFacts:
    tier = body.get("whatsapp_business_manager_messaging_limit") or body.get("messaging_limit_tier")
    return NumberFacts(
        phone_number_id=str(body.get("id") or ""),
        phone=str(body.get("display_phone_number") or "")[:50],
        name=str(body.get("verified_name") or "")[:150],
        quality=_word(body.get("quality_rating"), 20),
        tier=_word(tier, 30),
        status=_word(body.get("status"), 30),
    )


def _word(value: object, most: int) -> str | None:
    return value.upper()[:most] if isinstance(value, str) and value else None


def _moment(value: object) -> datetime | None:
    """Meta's 0 means never."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
