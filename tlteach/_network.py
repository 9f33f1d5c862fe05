"""Whether hosts can be reached: asked side by side, and never waited for longer than agreed."""

import socket
import threading
import time
import urllib.parse
import urllib.request


def reached(hosts, *, seconds=3.0):
    """Return which of some hosts answer, as `host -> bool`.

    Args:
        hosts: List of `(host, port)`.
        seconds: How long all of it takes at most; without a network the look-up of a name may hang.
    """
    answers, until = {}, time.monotonic() + seconds
    threads = [threading.Thread(target=_ask, args=(*each, seconds, answers), daemon=True) for each in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {host: answers.get(host, False) for host, _ in hosts}


def _ask(host, port, seconds, answers):
    try:
        with socket.create_connection((host, port), timeout=seconds):
            answers[host] = True
    except OSError:
        answers[host] = False


def proxy():
    """Return `(host, port)` of the proxy that downloads go through here, or `None`."""
    told = urllib.parse.urlsplit(urllib.request.getproxies().get("https", ""))
    return (told.hostname, told.port or 8080) if told.hostname else None
