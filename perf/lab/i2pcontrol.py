"""A program that speaks I2PControl: the same against Ramson and i2pd."""

import http.client
import json
import ssl

PORT = 7650


def ask(host, method, certificate=None, limit=10, **params):
    """The answer to one request; `certificate` is what the router must have, if that is to be looked at."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if certificate else ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, PORT, timeout=limit, context=context)
    try:
        body = json.dumps({"id": 7, "method": method, "params": params, "jsonrpc": "2.0"})
        connection.request("POST", "/jsonrpc", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
