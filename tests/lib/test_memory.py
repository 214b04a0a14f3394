"""Heaps: what many threads have freed serves all of them."""

import subprocess
import sys

GROW = """
import ctypes, sys, threading
from crm.lib.memory import share_heaps
if sys.argv[1] == "shared":
    assert share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
together = threading.Barrier(16)
def work():
    together.wait()
    for _ in range(200):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps(how: str) -> int:
    command = [sys.executable, "-c", GROW, how]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.count("<heap nr=")


def test_many_threads_share_two_heaps():
    assert heaps("shared") <= 2 < heaps("each")
