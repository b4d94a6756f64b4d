#!/usr/bin/env python3
"""The smallest dsfuzz client: a set in memory. See docs/client-protocol.md."""
import json
import sys


def say(**line):
    print(json.dumps(line), flush=True)


init = json.loads(sys.stdin.readline())
# Here a real client connects to init["address"] at init["ports"]["client"]. If it cannot, nothing was sent:
#   say(type="error", error={"code": "refused", "text": "why"}); sys.exit()
say(type="init_ok", version=1, functions=["add", "read"])

elements = []
for line in sys.stdin:
    call = json.loads(line)
    if call["type"] == "close":
        break
    if call["f"] == "add":
        elements.append(call["value"])
        say(id=call["id"], type="ok")
    elif call["f"] == "read":
        say(id=call["id"], type="ok", value=elements)
    else:
        say(id=call["id"], type="fail", error={"code": "not-supported", "text": call["f"]})
