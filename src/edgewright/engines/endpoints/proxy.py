"""The proxy on the way to an endpoint, as the environment names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ...domain.errors import EngineUnavailableError
from ...security.egress import is_loopback


def proxy_for(url: str) -> Mapping[str, Any]:
    """What httpcore's AsyncHTTPProxy is made with; nothing where the way is direct. To this machine
    it always is, whatever NO_PROXY says: what stays here has no business with another.

    Raises EngineUnavailableError for a proxy that cannot be used.
    """
    at = urlsplit(url)
    proxies = getproxies()
    said = proxies.get(at.scheme) or proxies.get("all", "")
    if not said or is_loopback(at.hostname) or proxy_bypass(at.netloc):
        return {}
    where = said if "://" in said else f"http://{said}"  # as curl reads it
    try:
        parts = urlsplit(where)
        good = parts.scheme in ("http", "https") and parts.hostname and where.isascii()
        host = parts.netloc.rpartition("@")[2]
        parts.port  # noqa: B018 - for its ValueError
    except ValueError:
        good = False
    if not good:
        raise EngineUnavailableError(
            f"The proxy that the environment names for {at.scheme} cannot be used.",
            hint=f"{at.scheme.upper()}_PROXY or ALL_PROXY has to be http://HOST:PORT. NO_PROXY "
            "names the hosts that are reached without it.",
        )
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return {"proxy_url": f"{parts.scheme}://{host}", "proxy_auth": auth}
