"""The security headers of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
