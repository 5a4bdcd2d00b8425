"""A review is opened: the run held, its tables read, its frames found, the page served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from insitrack.io.errors import InsitrackError
from insitrack.io.frames import Source
from insitrack.io.pages.server import listens_at
from insitrack.tracker.review.frames import FrameStore
from insitrack.tracker.review.server import ReviewServer
from insitrack.tracker.review.session import Session
from insitrack.tracker.review.state import places
from insitrack.tracker.run.job.finished import check_outlines, manifest_of, source_of
from insitrack.tracker.run.lock import reviewed_alone


@contextmanager
def reviewing(
    run: Path,
    movie: Path | None = None,
    out: Path | None = None,
    *,
    view: str = "127.0.0.1:0",
    token: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[ReviewServer]:
    """Serve a finished run for as long as the context lasts.

    Parameters
    ----------
    run : Path
        Its folder.
    movie : Path, optional
        Where its movie is now; without one the page shows outlines on black, and says so.
    out : Path, optional
        Folder of the new run.
    view : str
        HOST:PORT of the page.
    token : str, optional
        What others must know.
    warn : callable
        Gets one line where something is missing.

    Raises
    ------
    InsitrackError
        If there is no run, it is not finished, it has no outlines, another review is open, or the port is taken.
    """
    host, port = listens_at(view)
    manifest = manifest_of(run)
    with reviewed_alone(run):
        check_outlines(run)
        session = Session(run, movie, out)
        numbers, t_s, _ = places(session.made.frames)
        # damaged outlines are told before the page is there, and its first frame waits for nothing
        session.now.outlines(int(numbers[0]) if len(numbers) else 0)
        frames, why = None, ""
        try:
            source_of(run, manifest, movie).close()
            frames = FrameStore(_opener(run, session, movie), numbers, t_s)
        except InsitrackError as error:
            if movie is not None:
                raise
            why = str(error)
            warn(f"outlines are shown on black: {why}")
        server: ReviewServer | None = None
        try:
            server = ReviewServer(
                session, frames, why, host=host, port=port, token=token, failed=lambda error: warn(str(error))
            )
            server.start()
            yield server
        finally:
            if server is not None:
                server.stop()
            if frames is not None:
                frames.close()


def _opener(run: Path, session: Session, movie: Path | None) -> Callable[[float], Source]:
    def from_time(t_s: float) -> Source:
        return source_of(run, session.manifest, movie, (t_s, None))

    return from_time
