"""i2pd and Java connect to Ramson over SSU2 and IPv6 and Ramson to them; they keep its RouterInfo and do not complain."""

from ..relay import Ssu2Ipv6RelayNetwork as NETWORK
from .sessions import run

__all__ = ["NETWORK", "SLOW", "run"]

SLOW = True
