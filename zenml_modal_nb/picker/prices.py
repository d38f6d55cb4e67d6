"""The prices that the picker shows: the workspace's where a token is configured, else the dated ones."""

from __future__ import annotations

import threading
from collections.abc import Callable

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.pricing import rates
from zenml_modal_nb.pricing.rates import Rates

PATIENCE = 2.0  # seconds that opening the picker may take; later the prices change under the user's eyes


class Prices:
    """Asks the workspace in the background; made and read by `ResourcePicker`."""

    def __init__(self, workspace: str | None, environment: str | None) -> None:
        self.rates: Rates = rates.snapshot()
        self.has_token = False
        self.trouble = ""  # why Modal's SDK cannot be used at all
        self._where = (workspace, environment)
        self._asked = threading.Event()
        self._patient = True
        self._tell: Callable[[], None] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._ask, daemon=True, name="zenml-modal-nb-prices").start()

    def wait(self) -> None:
        """Wait a little for the workspace's answer, once: who has waited in vain sees it when it comes."""
        if self._patient:
            self._asked.wait(PATIENCE)
            self._patient = False

    def when_settled(self, tell: Callable[[], None]) -> None:
        """Call `tell` once: now if the answer is there, which a form made just before may not show, else when it comes.

        Then from another thread.
        """
        with self._lock:
            settled = self._asked.is_set()
            if not settled:
                self._tell = tell
        if settled:
            tell()

    def _ask(self) -> None:
        workspace, environment = self._where
        try:
            from zenml_modal_nb.sandboxes.account import configured_token
            from zenml_modal_nb.sandboxes.connection import connect
            from zenml_modal_nb.sandboxes.prices import prices_for

            self.has_token = configured_token(workspace).complete
            if self.has_token:
                self.rates = prices_for(connect("modal", environment=environment, workspace=workspace))
        except ConnectionFailedError:
            pass  # the dated prices stay, and the form says that they are dated
        except Exception as error:  # noqa: BLE001 - the SDK's, e.g. for a configuration that it cannot read
            what = " ".join(str(error).split()).rstrip(".")
            self.trouble = f"Modal's SDK cannot be used: {what}. %modal_doctor says what to do."
        finally:
            with self._lock:
                self._asked.set()
            if self._tell is not None:
                self._tell()
