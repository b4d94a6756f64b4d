#!/usr/bin/env python3
"""The smallest dsfuzz client: a set in memory. See docs/client-protocol.md."""
from dsfuzz_client import not_supported, ok, serve


def connect(init):
    # Here a real client connects to init["address"] at init["ports"]["client"]. If it cannot, it raises OSError.
    return []


def carry_out(elements, call):
    if call["f"] == "add":
        elements.append(call["value"])
        return ok()
    if call["f"] == "read":
        return ok(elements)
    return not_supported(call)


serve(connect, carry_out, functions=["add", "read"])
