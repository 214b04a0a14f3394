"""A person at a desk who does not give up: writes over HTTP until each message is taken."""

from __future__ import annotations

import re
import time
import uuid

import requests

from tests.stack import PASSWORD, RunningStack

PATIENCE = 60.0


class Desk:
    """A signed-in browser without a screen. A send is repeated under its key until it is taken."""

    def __init__(self, stack: RunningStack, *, email: str = "admin@demo.charla.local") -> None:
        self.url = stack.url
        self.email = email
        self.session = requests.Session()
        self.session.trust_env = False
        self.repeats = 0
        self._sign_in()

    def take(self, chat_id: int) -> None:
        """Make the chat this person's."""
        self._patiently(lambda: self._post(f"/inbox/{chat_id}/assign-to-me"))

    def write(self, chat_id: int, text: str) -> uuid.UUID:
        """Answer in a chat; the key of the message that is now in the books."""
        key = uuid.uuid4()
        self._patiently(
            lambda: self._post(f"/inbox/{chat_id}/messages", text=text, client_key=str(key))
        )
        return key

    def _post(self, path: str, **fields: str) -> bool:
        """True if it was taken, False if the web is away; a refusal is a mistake of the test."""
        answer = self.session.post(
            f"{self.url}{path}",
            data={"csrf_token": self.csrf, **fields},
            headers={"Referer": f"{self.url}/inbox", "Origin": self.url, "HX-Request": "true"},
            allow_redirects=False,
            timeout=10,
        )
        assert answer.status_code < 400 or answer.status_code >= 500, answer.text[:1500]
        return answer.status_code < 400

    def _sign_in(self) -> None:
        def enter() -> bool:
            page = self.session.get(f"{self.url}/login", timeout=10).text
            form = {"csrf_token": _csrf(page), "email": self.email, "password": PASSWORD}
            answer = self.session.post(
                f"{self.url}/login",
                data=form,
                headers={"Referer": f"{self.url}/login", "Origin": self.url},
                timeout=20,
            )
            return answer.status_code == 200 and "/inbox" in answer.url

        self._patiently(enter)
        self.csrf = _csrf(self.session.get(f"{self.url}/inbox", timeout=20).text)

    def _patiently(self, attempt) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if attempt():
                    return
            except requests.RequestException:
                pass
            self.repeats += 1
            assert time.monotonic() < deadline, "the web did not come back"
            time.sleep(0.1)


def _csrf(page: str) -> str:
    for pattern in (
        r'name="csrf_token"[^>]*value="([^"]+)"',
        r'name="csrf-token"[^>]*content="([^"]+)"',
        r'"X-CSRFToken"\s*:\s*"([^"]+)"',
        r"&#34;X-CSRFToken&#34;:\s*&#34;([^&]+)&#34;",
    ):
        if found := re.search(pattern, page):
            return found[1]
    raise AssertionError(f"no token in the page: {page[:300]}")
