"""The security headers of pages, and those of every response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

# Styles may be in `style` attributes: Radix and Streamdown need them. Pictures in answers are
# `data:` addresses; nothing is loaded from elsewhere. Links may lead anywhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors "
)
_HEADERS: Final = {
    "cache-control": "private, no-cache",  # the response may set a cookie
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
    "referrer-policy": "no-referrer",
}

_CSP: Final = b"content-security-policy"
#: What no page is: nothing in it is loaded, and no page shows it.
_NO_PAGE: Final = (
    (_CSP, b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)
_EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
#: For a year, this host only: whether its subdomains have https is not ours to say (RFC 6797).
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")

RawHeaders = list[tuple[bytes, bytes]]


def page_headers(frame_ancestors: Sequence[str]) -> Mapping[str, str]:
    """The headers of a page.

    Args:
        frame_ancestors: origins of sites that may show it in a frame. `X-Frame-Options` cannot
            name origins, so it is only sent if there are none.
    """
    if not frame_ancestors:
        policy = f"{_POLICY}'none'"
        return {**_HEADERS, "content-security-policy": policy, "x-frame-options": "DENY"}
    policy = f"{_POLICY}'self' {' '.join(frame_ancestors)}"
    return {**_HEADERS, "content-security-policy": policy}


def secured(headers: Iterable[tuple[bytes, bytes]], *, https: bool = False) -> RawHeaders:
    """Headers of a response, with those of every response that are not among them.

    Args:
        headers: names in lower case, and values. A response with a policy of its own is a page.
        https: whether the request came over https.
    """
    found = list(headers)
    names = {name for name, _ in found}
    found += [pair for pair in _EVERYWHERE if pair[0] not in names]
    if _CSP not in names:
        found += _NO_PAGE
    if https:
        found.append(_HTTPS_ONLY)
    return found
