"""Whether two servers mean the same OpenCode: its address in one spelling."""

import ipaddress
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def shared_address(url: str, hostname: str) -> str:
    """The address in one spelling, without login; a loopback address names the host on which it is valid."""
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    name = (parts.hostname or "").lower()
    port = parts.port or _PORTS.get(scheme, 0)
    path = parts.path.rstrip("/")
    if _is_loopback(name):
        return f"{scheme}://localhost:{port}{path} on {hostname}"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}{path}"


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
