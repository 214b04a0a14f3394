"""An account's message templates at Meta: list, create, edit, delete, and example files.

Source: Meta's Business Management API, v23.0. Dataclass in, dataclass out; no call is repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from crm.lib.timed_http import Answer, HttpFailure, TimedHttp
from crm.providers.meta import codes

Json = dict[str, Any]


class ManagementError(Exception):
    """Meta's refusal, or no answer at all.

    `reason` is an English msgid in our words; `told` is Meta's own text for people, in whatever
    language it chose, "" where there is none. `unknown` says that the call may have been done.
    """

    def __init__(
        self, reason: str, *, code: str, told: str = "", detail: str = "", unknown: bool = False
    ) -> None:
        super().__init__(f"{code}: {told or reason}")
        self.reason = reason
        self.code = code
        self.told = told
        self.detail = detail
        self.unknown = unknown


@dataclass(frozen=True)
class Account:
    """A WhatsApp Business account and what opens it."""

    account_id: str
    access_token: str = field(repr=False)
    graph_url: str


@dataclass(frozen=True)
class TemplatePage:
    """Meta's template objects, and the cursor of the next page (None: that was the last)."""

    rows: list[Json]
    after: str | None


@dataclass(frozen=True)
class Created:
    """A new template: its id, the state and the category that Meta gave it (upper case)."""

    template_id: str
    status: str
    category: str | None


class ManagementClient:
    """Speaks to one Graph host; serves many accounts and threads.

    `refused` is what code 100 means to people here: a wrong parameter, and of what.
    """

    refused = "Meta does not accept this template."

    def __init__(self, http: TimedHttp | None = None) -> None:
        self._http = http or TimedHttp(max_answer_bytes=8_000_000)

    def list_templates(
        self, account: Account, *, fields: str, after: str | None = None, limit: int = 100
    ) -> TemplatePage:
        query = {"fields": fields, "limit": limit} | ({"after": after} if after else {})
        body = self._get(account, f"{account.account_id}/message_templates?{urlencode(query)}")
        rows = [row for row in body.get("data") or () if isinstance(row, dict)]
        paging = body.get("paging") or {}
        cursor = (paging.get("cursors") or {}).get("after")
        return TemplatePage(rows, str(cursor) if cursor and paging.get("next") else None)

    def create_template(self, account: Account, definition: Json) -> Created:
        """`definition`: {name, language, category, parameter_format, components}."""
        body = self._post(account, f"{account.account_id}/message_templates", definition)
        return Created(
            str(body.get("id") or ""), str(body.get("status") or "PENDING"), body.get("category")
        )

    def edit_template(self, account: Account, template_id: str, changes: Json) -> None:
        """`changes`: {category?, components?}; Meta reviews it again."""
        self._post(account, quote(template_id, safe=""), changes)

    def delete_template(
        self, account: Account, *, name: str, template_id: str | None = None
    ) -> None:
        """One language by its id; without one, ALL languages of that name."""
        query = {"name": name} | ({"hsm_id": template_id} if template_id else {})
        self._read(
            self._send(
                lambda headers: self._http.delete(
                    f"{account.graph_url}/{account.account_id}/message_templates"
                    f"?{urlencode(query)}",
                    headers=headers,
                ),
                account,
            )
        )

    def upload_example(
        self, account: Account, content: bytes, *, mime_type: str, filename: str
    ) -> str:
        """The handle of an example file, for `example.header_handle` (resumable upload API)."""
        query = urlencode(
            {"file_name": filename, "file_length": len(content), "file_type": mime_type}
        )
        session = self._post(account, f"app/uploads?{query}", {})
        session_id = str(session.get("id") or "")
        answer = self._send(
            lambda headers: self._http.post(
                f"{account.graph_url}/{session_id}",
                content,
                headers={
                    **headers,
                    "Authorization": f"OAuth {account.access_token}",
                    "Content-Type": "application/octet-stream",
                    "file_offset": "0",
                },
            ),
            account,
        )
        handle = self._read(answer).get("h")
        if not isinstance(handle, str) or not handle:
            raise _unclear(answer.status)
        return handle

    def _get(self, account: Account, path: str) -> Json:
        url = f"{account.graph_url}/{path}"
        return self._read(self._send(lambda headers: self._http.get(url, headers=headers), account))

    def _post(self, account: Account, path: str, body: Json) -> Json:
        url, content = f"{account.graph_url}/{path}", json.dumps(body).encode("ascii")
        return self._read(
            self._send(
                lambda headers: self._http.post(
                    url, content, headers={**headers, "Content-Type": "application/json"}
                ),
                account,
            )
        )

    def _send(self, call: Any, account: Account) -> Answer:
        headers: Mapping[str, str] = {
            "Authorization": f"Bearer {account.access_token}",
            "User-Agent": "charla",
        }
        try:
            answer: Answer = call(headers)
        except HttpFailure as failure:
            code = "no_answer" if failure.body_sent else "not_sent"
            raise ManagementError(
                MANAGEMENT_WORDS[code], code=code, detail=str(failure), unknown=failure.body_sent
            ) from failure
        return answer

    def _read(self, answer: Answer) -> Json:
        try:
            body = json.loads(answer.body or b"")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise _unclear(answer.status)
        error = body.get("error")
        if isinstance(error, dict):
            raise _refusal(error, answer.status, self.refused)
        if answer.status != 200:
            raise _unclear(answer.status)
        return body


MANAGEMENT_WORDS = {
    "not_sent": "WhatsApp could not be reached.",
    "no_answer": "WhatsApp did not answer. Look in a moment whether it was done.",
    "unclear": "WhatsApp's answer made no sense. Look in a moment whether it was done.",
}
"""By our own words for what never was an answer of Meta's."""


def _refusal(error: Json, status: int, refused: str) -> ManagementError:
    code = str(error.get("code") or status)
    subcode = str(error.get("error_subcode") or "")
    # The short ones (33, 463) say less than the code that they stand below.
    known = codes.known_meaning(int(subcode)) if re.fullmatch(r"2\d{6}", subcode) else None
    reason = refused if code == "100" else codes.reason_for(code)
    reason = known.reason if known else reason
    told = error.get("error_user_msg") or error.get("error_user_title") or ""
    return ManagementError(
        reason,
        code=subcode or code,
        told=str(told)[:500],
        detail=str(error.get("message") or "")[:500],
        unknown=status >= 500,
    )


def _unclear(status: int) -> ManagementError:
    return ManagementError(MANAGEMENT_WORDS["unclear"], code=f"http_{status}", unknown=True)
