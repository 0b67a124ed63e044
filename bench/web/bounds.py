"""Every wait has a timeout: it is reported, and the run continues with the next page.

A call into a page has no time limit of its own, and a page that hangs answers nothing, not even
that. So its browser is ended then, which ends the call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import Final

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError

#: The longest wait for anything in a page. `record.js` times out earlier, with more detail.
SECONDS: Final = 180.0


class OverdueError(Exception):
    """A wait timed out. The message names what was awaited."""


class Watch:
    """Sees to it that calls into a browser end.

    Args:
        browser: the one that is ended when one does not.
    """

    def __init__(self, browser: Browser) -> None:
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        self._pid = next(one["id"] for one in processes["processInfo"] if one["type"] == "browser")

    @contextmanager
    def awaits(self, what: str, seconds: float = SECONDS) -> Iterator[None]:
        """A call that must have ended after so many seconds.

        Raises:
            OverdueError: it had not, or the page itself waited too long; the call's other errors
                come as this one too.
        """
        is_late = Event()

        def end() -> None:
            is_late.set()
            os.kill(self._pid, signal.SIGKILL)

        timer = Timer(seconds, end)
        timer.start()
        try:
            yield
        except BrowserError as error:
            late = f"The page did not answer within {seconds:.0f} s."
            raise OverdueError(f"{what}: {late if is_late.is_set() else error.message}") from error
        finally:
            timer.cancel()
