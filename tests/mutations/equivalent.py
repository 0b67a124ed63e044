"""Mutants that change nothing that anybody can see. Each was read, and has its reason.

The key is the function and the change, as `make mutants` names a survivor. So an entry holds
wherever the line goes, and no longer than the statement is the same.
"""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

_SHORTCUT = "Only a shortcut is missed; the slower way behind it finds the same."
_ANEW = "Only what was remembered is made anew each time."
_NEVER_READ = "It is set before it is read for the first time."
_FALSY = "Nobody tells None from False there."
_ONE_DOT = "There is one dot, from whichever end it is looked for."
_MEASURED = "No measured time is exactly this number."

_REASONS: Final[dict[str, str]] = {
    "chunks._is_one_string: return record.find(b'\"', begin) == len(record) - 2 or"
    " _REST.fullmatch(record, begin) is not None -> return record.find(begin) == len(record) - 2 or"
    " _REST.fullmatch(record, begin) is not None": _SHORTCUT,
    "fold.Fold.__init__: self._begin = self._mark = (0, 0) -> self._begin = self._mark = (1, 0)": (
        "From the beginning of the first part on is from the beginning on."
    ),
    'wire.sse.FrameEncoder.__init__: self._tail = b"" -> self._tail = None': _NEVER_READ,
    "wire.sse.FrameEncoder._set_token: self._token = token -> self._token = None": _ANEW,
    "wire.sse.FrameEncoder._set_block: self._block = block -> self._block = None": _ANEW,
    "log.writer.Flusher._run: writer.flushed(committed=False) -> writer.flushed(committed=None)": (
        _FALSY
    ),
    "log.writer.Flusher._run: for writer, committed in zip(lot, results, strict=True): ->"
    " for writer, committed in zip(lot, results, strict=False):": (
        "Every store returns one result for each append; the contract says so."
    ),
    "runs.stopping.Stopper.stop: job: tuple[str, str] | None = None ->"
    ' job: tuple[str, str] | None = ""': _NEVER_READ,
    "runs.worker.Worker._claim: return False -> return None": _FALSY,
    'providers.failures.classify._allowance: return "" -> return None': (
        "A meaning that is not known is only asked whether it is one."
    ),
    "log.writer.Flusher._adapt: if busy > 0.85 or self._late > _LATE: ->"
    " if busy >= 0.85 or self._late > _LATE:": _MEASURED,
    "client._answers.Reading.__init__: self._greeted = False -> self._greeted = None": _FALSY,
    "client._answers.Reading.__init__: self.ended = False -> self.ended = None": _FALSY,
    'client._answers.check: problem = None -> problem = ""': "Only a mapping counts there.",
    'client._answers.check: retry_after = _retry_after(response.headers.get("Retry-After", "")) ->'
    ' retry_after = _retry_after(response.headers.get("Retry-After", "XXXX"))': (
        "Either text asks for no pause."
    ),
    'client._answers._is_later: same_run = place.partition(".")[0] == known.partition(".")[0] ->'
    ' same_run = place.rpartition(".")[0] == known.partition(".")[0]': _ONE_DOT,
    'client._answers._is_later: same_run = place.partition(".")[0] == known.partition(".")[0] ->'
    ' same_run = place.partition(".")[0] == known.rpartition(".")[0]': _ONE_DOT,
    "client._answers._retry_after: return float(min(int(value[:9]), 86_400)) ->"
    " return float(min(int(value[:10]), 86_400))": "Numbers of either length are cut to one day.",
    "client._client.DurableClient.__init__: self._report = on_state or (lambda _: None) ->"
    " self._report = on_state or ((lambda _: 0))": _FALSY,
    "client._client.DurableClient.__init__: self._timeout = aiohttp.ClientTimeout( total=None,"
    " sock_connect=self._retry.connect, sock_read=self._retry.silence ) -> self._timeout ="
    " aiohttp.ClientTimeout( sock_connect=self._retry.connect, sock_read=self._retry.silence )": (
        "None is what aiohttp takes where nothing is said."
    ),
    "server.crossing.Crossing.preflight_response: if response.status_code < 400: ->"
    " if response.status_code < 401:": "Starlette answers 200 or 400 there.",
    "stores.sqlite.file.DatabaseFile._checkpoint_loop: connection ="
    " sqlite3.connect(self.path, isolation_level=None) -> connection ="
    " sqlite3.connect(self.path, )": "A PRAGMA begins no transaction.",
    "stores.sqlite.file._open: connection = sqlite3.connect(path, isolation_level=None,"
    " cached_statements=256) -> connection = sqlite3.connect(path, isolation_level=None, )": _ANEW,
    "stores.migration.ends.opened: writing = await _open(target, to_path, keeping,"
    " must_exist=False) -> writing = await _open(target, to_path, keeping,"
    " must_exist=None)": _FALSY,
    "stores.migration.moving.Migration._move_secret: return False -> return None": _FALSY,
    "stores.open_store: return RedisStore( RedisAddress.parse(address),"
    " retention=Retention(log_age, chat_age), economy=economy ) -> return RedisStore("
    " RedisAddress.parse(address), retention=Retention(log_age, chat_age), economy=None )": _FALSY,
    "server.streams.RunStream._follow: spans = page.spans if page.spans[-1].first <= page.first"
    " else () -> spans = page.spans if (page.spans[-1].first <= page.first) and False else ()": (
        _SHORTCUT
    ),
    "server.visitors.anonymous: owner = owners[0] if owners else"
    ' f"visitor-{secrets.token_urlsafe(18)}" -> owner = owners[0] if owners else'
    ' f"visitor-{secrets.token_urlsafe(None)}"': "A longer name is no easier to guess.",
}


def reason_of(mutant: Mutant) -> str:
    """Why a mutant cannot be caught; "" where it can."""
    return _REASONS.get(mutant.key.removesuffix(f" ({mutant.number})"), "")
