"""The sole home of sockets: whether a port of this machine is taken."""

from __future__ import annotations

import errno
import socket
from typing import Final

_NO_SUCH_ADDRESS: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""IPv6 is switched off here: then nothing listens on it either."""


def is_free(port: int) -> bool:
    """Whether nothing has the TCP port `port`, on any address of this machine."""
    return all(_binds(family, place, port) for family, place in ((socket.AF_INET, ""), (socket.AF_INET6, "::")))


def _binds(family: socket.AddressFamily, place: str, port: int) -> bool:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # a machine without IPv6
        return True
    with probe:
        try:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Without SO_REUSEADDR: with it, other systems than Linux would share a port that is bound elsewhere.
            probe.bind((place, port))
        except OSError as error:
            return error.errno in _NO_SUCH_ADDRESS
    return True
