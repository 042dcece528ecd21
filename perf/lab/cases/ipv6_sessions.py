"""i2pd and Java connect to Ramson over IPv6 and Ramson to them; they keep its RouterInfo and do not complain."""

from ..relay import Ipv6RelayNetwork as NETWORK
from .sessions import run

__all__ = ["NETWORK", "run"]
