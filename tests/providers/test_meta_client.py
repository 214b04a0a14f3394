import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from crm.lib.timed_http import TimedHttp
from crm.providers.meta import codes
from crm.providers.meta.client import MetaChannel, MetaClient
from crm.providers.meta.payloads import message_payload
from crm.providers.outbound import (
    Effect,
    OutboundMessage,
    ProviderError,
    Recipient,
    SendResult,
    Text,
)
from tests.providers.scripted_server import answer, drip, hang, raw, serving

ACCEPTED = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "573001234567", "wa_id": "573001234567"}],
    "messages": [{"id": "wamid.ABC", "message_status": "accepted"}],
}


def text(body: str = "Hola", **changes) -> OutboundMessage:
    to = changes.pop("to", Recipient(phone="573001234567"))
    return OutboundMessage(to=to, content=Text(body), opaque_id="key.1", **changes)


def send(url: str, message: OutboundMessage | None = None, *, client: MetaClient | None = None):
    client = client or MetaClient(TimedHttp(connect_seconds=0.5, total_seconds=1.0))
    channel = MetaChannel(phone_number_id="111", access_token="secret-token", graph_url=url)
    return client.send(channel, message or text())


def refused(*scripts) -> ProviderError:
    with serving(*scripts) as server, pytest.raises(ProviderError) as caught:
        send(server.url)
    assert len(server.seen) == 1, "a send is one call, never repeated by the client"
    return caught.value


def meta_error(code: int, **fields) -> dict:
    return {"error": {"message": f"(#{code}) no", "type": "OAuthException", "code": code, **fields}}


def test_it_sends_a_text_and_returns_metas_id():
    with serving(answer(200, ACCEPTED)) as server:
        result = send(server.url, text("Buenos días 👋", reply_to="wamid.Q"))

    assert result == SendResult("wamid.ABC", "573001234567", state="accepted")
    assert server.seen[0].head.startswith("POST /111/messages HTTP/1.1")
    assert "Authorization: Bearer secret-token" in server.seen[0].head
    assert server.seen[0].json == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "573001234567",
        "type": "text",
        "text": {"body": "Buenos días 👋", "preview_url": True},
        "context": {"message_id": "wamid.Q"},
        "biz_opaque_callback_data": "key.1",
    }


def test_it_writes_to_a_user_id_where_the_phone_is_unknown():
    user = {"contacts": [{"user_id": "CO.134912"}], "messages": [{"id": "wamid.B"}]}
    with serving(answer(200, user)) as server:
        result = send(server.url, text(to=Recipient(user_id="CO.134912")))

    assert result == SendResult("wamid.B", None, "CO.134912", None)
    assert server.seen[0].json["recipient"] == "CO.134912"
    assert "to" not in server.seen[0].json


def test_it_sends_a_lone_surrogate_instead_of_failing():
    with serving(answer(200, ACCEPTED)) as server:
        send(server.url, text("half \ud83d emoji"))
    assert server.seen[0].json["text"]["body"] == "half \ud83d emoji"


def test_it_uses_one_connection_for_many_sends():
    client = MetaClient(TimedHttp(total_seconds=5))
    with serving(answer(200, ACCEPTED)) as server:
        for _ in range(5):
            send(server.url, client=client)
    assert (server.connections, len(server.seen)) == (1, 5)


def test_it_does_not_trust_a_connection_that_was_idle_for_long():
    client = MetaClient(TimedHttp(total_seconds=5, max_idle_seconds=0))
    with serving(answer(200, ACCEPTED)) as server:
        for _ in range(3):
            send(server.url, client=client)
    assert server.connections == 3


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        (190, Effect.CHANNEL),
        (0, Effect.CHANNEL),
        (131031, Effect.CHANNEL),
        (278, Effect.CHANNEL),
        (130429, Effect.RATE),
        (80007, Effect.RATE),
        (131056, Effect.PAIR),
        (131000, Effect.RETRY),
        (131047, Effect.PERMANENT),
        (131026, Effect.PERMANENT),
        (100, Effect.PERMANENT),
        (999999, Effect.PERMANENT),
    ],
)
def test_it_classes_metas_errors_by_their_code(code, effect):
    error = refused(answer(400, meta_error(code, error_data={"details": "why"})))
    assert (error.effect, error.code) == (effect, str(code))
    assert error.permanent is (effect is Effect.PERMANENT)
    assert error.detail == f"(#{code}) no - why"


def test_it_believes_the_error_and_not_the_http_status():
    assert refused(answer(200, meta_error(131047))).effect is Effect.PERMANENT
    assert refused(answer(500, meta_error(131000))).effect is Effect.RETRY
    assert refused(answer(500, meta_error(131047))).effect is Effect.PERMANENT
    assert refused(answer(503, meta_error(999999))).effect is Effect.RETRY


def test_it_tries_again_what_meta_calls_transient_but_never_loosens_a_limit():
    assert refused(answer(400, meta_error(100, is_transient=True))).effect is Effect.RETRY
    assert refused(answer(400, meta_error(130429, is_transient=True))).effect is Effect.RATE
    assert refused(answer(400, meta_error(190, is_transient=True))).effect is Effect.CHANNEL


def test_it_holds_the_number_when_its_id_is_wrong():
    assert refused(answer(400, meta_error(100, error_subcode=33))).effect is Effect.CHANNEL


def test_it_takes_error_data_as_plain_text_too():
    assert refused(answer(400, meta_error(100, error_data="bad"))).detail == "(#100) no - bad"


def test_it_honours_retry_after_in_seconds():
    slow = answer(429, meta_error(130429), headers="Retry-After: 7\r\n")
    assert refused(slow).wait_seconds == 7
    assert refused(answer(429, b"", headers="Retry-After: soon\r\n")).wait_seconds is None


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        (400, Effect.PERMANENT),
        (404, Effect.PERMANENT),
        (401, Effect.CHANNEL),
        (403, Effect.CHANNEL),
        (429, Effect.RATE),
        (408, Effect.UNKNOWN),
        (302, Effect.UNKNOWN),
        (500, Effect.UNKNOWN),
        (502, Effect.UNKNOWN),
        (503, Effect.UNKNOWN),
    ],
)
def test_it_classes_an_answer_without_metas_error(status, effect):
    error = refused(answer(status, b"<html>no</html>", headers="Location: http://127.0.0.1:9/\r\n"))
    assert (error.effect, error.code) == (effect, f"http_{status}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"messages":[]}',
        b'{"messages":{"id":"x"}}',
        b'{"messages":[{"id":5}]}',
        b'{"messages":[{"id":""}]}',
        b'{"messages":[{"id":"a\\u0000b"}]}',
        b'{"error":"text"}',
        b'{"error":{"code":true}}',
        b'{"messages":[{"id":"' + b"x" * 300 + b'"}]}',
        b"[" * 100_000,
        b'{"messages":[{"id":"wamid.ABC"}],"x":"' + b"y" * 2_000_000 + b'"}',
    ],
)
def test_it_calls_an_answer_without_sense_unknown(body):
    assert refused(answer(200, body)).effect is Effect.UNKNOWN


def test_it_does_not_unpack_compressed_answers():
    packed = answer(200, b"\x1f\x8b" + b"0" * 50, headers="Content-Encoding: gzip\r\n")
    assert refused(packed).effect is Effect.UNKNOWN


def test_it_calls_silence_after_the_body_unknown():
    error = refused(hang())
    assert (error.effect, error.code) == (Effect.UNKNOWN, "no_answer")


def test_it_calls_a_cut_answer_unknown():
    whole = json.dumps(ACCEPTED).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
    for cut in (b"", b"HTTP/1.1 20", head, head + whole[:-20]):
        assert refused(raw(cut)).effect is Effect.UNKNOWN


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_dripping_answer_ends_at_the_deadline(part):
    if part == "head":
        data = b"HTTP/1.1 200 OK\r\nX-Padding: " + b"a" * 10_000
    else:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"a" * 10_000
    # 10,000 bytes, one each 20 ms, would last 200 s: far beyond this test's own time limit.
    assert refused(drip(data, every=0.02)).effect is Effect.UNKNOWN


def test_it_may_try_again_when_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ProviderError) as caught:
        send(f"http://127.0.0.1:{port}")
    assert (caught.value.effect, caught.value.code) == (Effect.RETRY, "not_sent")


def test_it_may_try_again_when_the_name_is_unknown_or_the_token_cannot_be_sent():
    with pytest.raises(ProviderError) as caught:
        send("http://no-such-host.invalid")
    assert caught.value.effect is Effect.RETRY

    channel = MetaChannel(
        phone_number_id="1", access_token="tókén→", graph_url="http://127.0.0.1:1"
    )
    with pytest.raises(ProviderError) as caught:
        MetaClient().send(channel, text())
    assert caught.value.effect is Effect.RETRY


def test_it_may_try_again_when_the_connection_is_never_accepted():
    # A full backlog: the handshake hangs, nothing of ours goes out.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for waiter in waiting:
            waiter.setblocking(False)
            waiter.connect_ex(address)
        with pytest.raises(ProviderError) as caught:
            send(f"http://127.0.0.1:{address[1]}")
        for waiter in waiting:
            waiter.close()
    assert caught.value.effect is Effect.RETRY


def test_it_uses_no_proxy_of_the_environment(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(answer(200, ACCEPTED)) as server:
        assert send(server.url).whatsapp_message_id == "wamid.ABC"


def test_many_threads_share_a_client():
    client = MetaClient(TimedHttp(total_seconds=10))
    got: list[SendResult] = []
    with serving(answer(200, ACCEPTED)) as server:
        threads = [
            threading.Thread(
                target=lambda: got.extend(send(server.url, client=client) for _ in range(10))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(got) == 80
    assert server.connections == 8


def test_it_keeps_its_deadline_under_gevent_too():
    """In a gevent-patched process (as under the web server) a slow drip is still cut off."""
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "from tests.providers import test_meta_client as t\n"
        "t.test_a_dripping_answer_ends_at_the_deadline('head')\n"
        "t.test_it_sends_a_text_and_returns_metas_id()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_secrets_and_texts_stay_out_of_the_representation():
    channel = MetaChannel(phone_number_id="1", access_token="secret-token", graph_url="u")
    assert "secret-token" not in repr(channel)
    assert "private words" not in repr(text("private words"))


def test_every_code_has_words_and_an_unknown_one_too():
    assert codes.reason_for("190").startswith("The WhatsApp connection needs a new access token")
    assert codes.reason_for("no_answer").startswith("WhatsApp did not answer")
    assert codes.reason_for("123456789") == codes.UNKNOWN_CODE.reason
    assert codes.reason_for("http_400") == codes.UNKNOWN_CODE.reason
    assert codes.reason_for(None) == codes.UNKNOWN_CODE.reason
    assert all(reason.endswith(".") for reason in codes.all_reasons())


def test_its_payload_is_metas_own_example():
    example = Path("../shared/whatsapp/outbound/req-messages-send-text-message.json")
    assert example.exists(), f"{example} is missing: Meta's own example cannot be compared"
    theirs = json.loads(example.read_text())
    ours = message_payload(text())
    assert set(theirs) <= set(ours)
    assert set(theirs["text"]) == set(ours["text"])
