"""A load generator: N keep-alive connections that post prepared bodies, in a process of its own.

Called by webhooks.py: `python -m benchmarks.load PORT CONNECTIONS SECONDS REQUESTS_FILE`. The
requests (one per line, signed, base64) are sent each once, in order, spread over the connections.
Prints one line of JSON: answers by status, seconds, latencies in milliseconds.
"""

from gevent import monkey

monkey.patch_all()

import base64  # noqa: E402 - the patch comes first
import collections  # noqa: E402
import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402


def main() -> None:
    port, connections, seconds, file = sys.argv[1:]
    lines = Path(file).read_bytes().splitlines()
    requests = iter([base64.b64decode(line) for line in lines])
    answers: collections.Counter[int] = collections.Counter()
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + float(seconds)
    workers = [
        gevent.spawn(drive, int(port), requests, until, answers, latencies)
        for _ in range(int(connections))
    ]
    gevent.joinall(workers, raise_error=True)
    took = time.perf_counter() - started
    latencies.sort()
    print(
        json.dumps(
            {
                "answers": {str(status): count for status, count in answers.items()},
                "seconds": took,
                "p50": round(1000 * latencies[len(latencies) // 2], 2),
                "p99": round(1000 * latencies[len(latencies) * 99 // 100], 2),
                "left": sum(1 for _ in requests),
            }
        )
    )


def drive(
    port: int,
    requests: Iterator[bytes],
    until: float,
    answers: collections.Counter[int],
    latencies: list[float],
) -> None:
    """One connection: the next body, its answer, the next body."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while time.perf_counter() < until:
        request = next(requests, None)
        if request is None:
            break
        begun = time.perf_counter()
        connection.sendall(request)
        answers[read_answer(connection)] += 1
        latencies.append(time.perf_counter() - begun)
    connection.close()


def read_answer(connection: socket.socket) -> int:
    """The status of one answer with a Content-Length; its body is read and thrown away."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the server hung up")
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(65536)
    return int(data[9:12])


if __name__ == "__main__":
    main()
