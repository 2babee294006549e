"""Where the key to an endpoint comes from."""

from __future__ import annotations

import logging
import os
from typing import Final
from urllib.parse import urlsplit

SERVICE = "edgewright"  # what the keyring files our keys under
VARIABLE = "EDGEWRIGHT_API_KEY"
# Whose variable is for whom: such a key goes to that host alone, and only encrypted.
OF_HOST: Final = {"api.openai.com": "OPENAI_API_KEY", "ollama.com": "OLLAMA_API_KEY"}

_log = logging.getLogger(__name__)


def api_key(endpoint: str, *given: str) -> str:
    """The key to send to the endpoint: the first of `given` that is none of "", then
    EDGEWRIGHT_API_KEY, then the host's own variable, then what the keyring has for the address
    (`keyring set edgewright HOST` or `HOST:PORT`), then ""."""
    parts = urlsplit(endpoint)
    for key in given:
        if key.strip():
            return key.strip()
    if key := os.environ.get(VARIABLE, "").strip():
        return key
    own = OF_HOST.get(parts.hostname or "")
    if own and parts.scheme == "https" and (key := os.environ.get(own, "").strip()):
        return key
    return _from_keyring(parts.netloc.rpartition("@")[2]) if parts.netloc else ""


def _from_keyring(address: str) -> str:
    try:
        import keyring
    except ImportError:
        return ""  # the extra is not installed, so nothing was put there
    try:
        return (keyring.get_password(SERVICE, address) or "").strip()
    except Exception as error:  # a keyring's back end may fail in any way: locked, none, no bus
        _log.info("the keyring could not be asked for %s: %s", address, type(error).__name__)
        return ""
