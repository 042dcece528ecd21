"""A laboratory of real I2P routers on one machine: i2pd, Java I2P and Ramson in a private network without an uplink.

From the bottom up: `sandbox` (namespaces), `host` (one address), `process` (what /proc says), `router` (the life of any
router), `i2pd`, `java`, `ramson` (its three kinds), `subject` (which of them is under test), `network` (many of them),
`web` and `download` (traffic that is checked), `metrics` (Ramson's exporter), `outcome` and `suite` (cases and their
lines). `relay` is the network that most of the cases in `cases/` share.
"""
