"""One service in one thread without a supervisor: for managers that are used by themselves."""

from __future__ import annotations

import threading

from chatrixcd_threads.threads.service import Service, name_thread


class Alone:
    """Owner: whoever made it. The service's exception, if any, ends its thread and is shown by threading.excepthook."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=service.name, daemon=True)

    def start(self) -> None:
        """Begins the thread."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends it, waiting at most this long."""
        self._stop.set()
        self._service.wake()
        self._thread.join(seconds)

    def _run(self) -> None:
        name_thread(self._service.name)
        self._service.run(self._stop, lambda: None)
