"""The official Python client's informer, as a peer."""
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import sys
import threading
from typing import Any

from kubernetes import client, config
from kubernetes.informer import ADDED, MODIFIED, SharedInformer

from hack.bench.peers.reporting import Span, say_synced


def main(mode: str, count: int, objects: int) -> None:
    """Run an informer of ConfigMaps until the process is ended."""
    config.load_kube_config()
    informer = SharedInformer(client.CoreV1Api().list_config_map_for_all_namespaces)
    span, full, seen = Span(count), threading.Event(), 0

    def added(_obj: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == objects:
            full.set()

    informer.add_event_handler(ADDED, added)
    if mode == "ingest":
        informer.add_event_handler(MODIFIED, lambda _obj: span.step())
    informer.start()
    full.wait()
    say_synced()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
