"""What Meta says of an access token, and the proof that a call is signed with the app's secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from crm.simulator.errors import GraphError, bad_token, required

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

PATH = re.compile(r"^(?:/v\d+\.\d+)?/debug_token/?$")
APP_ID = "300000000000001"
SCOPES = ("whatsapp_business_management", "whatsapp_business_messaging")
FIVE_DAYS = 5 * 24 * 3600


def inspect(simulator: Simulator, environ: dict[str, Any]) -> dict[str, Any]:
    """The answer of `GET /debug_token?input_token=...`."""
    query = dict(parse_qsl(environ.get("QUERY_STRING") or ""))
    given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ").strip()
    if (given or query.get("access_token")) != simulator.settings.token:
        raise bad_token()
    asked = query.get("input_token")
    if not asked:
        raise required("input_token")
    if asked != simulator.settings.token:
        error = {"code": 190, "message": "The access token could not be decrypted", "subcode": 460}
        return {"data": {"error": error, "is_valid": False, "scopes": []}}
    fault = simulator.faults.take("token", "")
    kind = fault.kind if fault else ""
    now = int(time.time())
    scopes = SCOPES[:1] if kind == "token_scopes" else SCOPES
    return {
        "data": {
            "app_id": APP_ID,
            "type": "SYSTEM_USER",
            "application": "Charla",
            "data_access_expires_at": 0,
            "expires_at": now + FIVE_DAYS if kind == "token_expires" else 0,
            "is_valid": True,
            "issued_at": now - FIVE_DAYS,
            "scopes": list(scopes),
            "granular_scopes": [{"scope": scope} for scope in scopes],
            "user_id": "400000000000001",
        }
    }


def check_proof(simulator: Simulator, query: dict[str, str]) -> None:
    """A call may prove that its caller knows the app's secret; a wrong proof is refused."""
    proof = query.get("appsecret_proof")
    if proof is None:
        return
    settings = simulator.settings
    good = hmac.new(settings.app_secret.encode(), settings.token.encode(), hashlib.sha256)
    if not hmac.compare_digest(proof.encode(), good.hexdigest().encode()):
        raise GraphError(
            400,
            {
                "message": "Invalid appsecret_proof provided in the API argument",
                "type": "GraphMethodException",
                "code": 100,
            },
        )
