"""The workers of a batch: which there are, and which of them can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import insitrack
from insitrack.tracker.many.worker import worker_facts


class Crew:
    """Knows the workers of a client.

    Parameters
    ----------
    client : distributed.Client
        The workers.
    seen : Path or None
        A file that every worker must see, for results go beside it; None: workers write nothing.
    tell : callable
        Gets one line for every worker that cannot be used.

    Attributes
    ----------
    threads : dict of str to int
        Threads of each worker that is there, by its address.
    """

    def __init__(self, client: Any, seen: Path | None, tell: Callable[[str], None]) -> None:
        self._client, self._seen, self._tell = client, seen, tell
        self._unfit: dict[str, bool] = {}
        self.threads: dict[str, int] = {}

    def look(self) -> None:
        """See which workers there are now, and ask the new ones what they have."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self.threads = {address: int(facts["nthreads"]) for address, facts in workers.items()}
        for address in self.threads:
            if address not in self._unfit:
                why = self._lacks(address)
                self._unfit[address] = bool(why)
                if why:
                    self._tell(f"worker {address} is not used: {why}")

    @property
    def usable(self) -> list[str]:
        """Addresses of the workers that can be used."""
        return [address for address in self.threads if not self._unfit[address]]

    def _lacks(self, address: str) -> str:
        """Why a worker cannot be used; empty where it can."""
        seen = "" if self._seen is None else str(self._seen.resolve())
        try:
            facts = self._client.run(worker_facts, seen, workers=[address])[address]
        except Exception as error:  # whatever it lacks, it is not used
            return f"it does not answer, or has no insitrack ({(str(error).splitlines() or [''])[0]})"
        if facts["version"] != insitrack.__version__:
            return f"it has insitrack {facts['version']}, here is {insitrack.__version__}"
        return "" if facts["sees"] else f"it does not see {seen}; use a folder that all machines share"
