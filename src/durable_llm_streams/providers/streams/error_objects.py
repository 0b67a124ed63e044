"""Finds errors that providers report inside an answer that began as a success."""

from __future__ import annotations

from typing import Any

_CODES = ("code", "status_code", "status", "statusCode")


def error_in(value: dict[str, Any], *, is_error: bool = False) -> Any:
    """The error that an object reports.

    Args:
        value: a chunk, an object in the place of one, or a whole JSON body.
        is_error: whether the object is certainly an error (`event: error`).

    Returns:
        The error, for `model_errors.reported`; None without one. An `error` that is empty, false or
        null does not count.
    """
    for name in ("error", "errors"):
        error = value.get(name)
        if isinstance(error, list):
            error = next((each for each in error if each), None)
        if error:
            return _merged(error, value)
    if is_error:
        return value
    if "choices" in value or not _is_error(value):
        return None
    return _merged(value.get("message") or value.get("detail") or value.get("title"), value)


def _is_error(value: dict[str, Any]) -> bool:
    if value.get("object") == "error" or value.get("type") == "error":
        return True
    if value.get("status") == "error" or value.get("success") is False:
        return True
    if isinstance(value.get("detail"), str | list) and value["detail"]:
        return True
    return _code(value) is not None and isinstance(value.get("message"), str)


def _code(value: dict[str, Any]) -> int | str | None:
    """A code of an error beside its message; the number of a success does not count."""
    for name in _CODES:
        code = value.get(name)
        is_word = name == "code" and isinstance(code, str) and code not in ("", "0", "200")
        if is_word or (isinstance(code, int) and code >= 400):
            return code
    return None


def _merged(error: Any, around: dict[str, Any]) -> Any:
    """The error as one object, with the fields beside it."""
    merged = dict(error) if isinstance(error, dict) else {"message": error}
    beside = {"code": _code(around), "type": around.get("type"), "metadata": around.get("metadata")}
    for name, value in beside.items():
        if merged.get(name) is None and value is not None:
            merged[name] = value
    return merged
