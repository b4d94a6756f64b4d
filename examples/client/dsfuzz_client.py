"""The loop of a dsfuzz client in Python, with nothing but the standard library (docs/client-protocol.md).

    from dsfuzz_client import fail, node_at, ok, serve

    def connect(init): ...                 # to init["address"], and to no other node
    def carry_out(connection, call): ...   # one call; returns ok(), fail(..), info(..) or error(..)

    serve(connect, carry_out, refused=(OSError,))

Clients beside their recipe find it by `sys.path.insert(0, "<this folder>")`.
"""
import json
import sys


NOTHING = object()


def ok(value=NOTHING, node=None):
    """The call took effect; of a read, with what was read (None: there is nothing)."""
    return answer("ok", node, **({} if value is NOTHING else {"value": value}))


def fail(code, text="", node=None):
    """The call certainly had no effect, and never will have one."""
    return answer("fail", node, error={"code": str(code), "text": str(text)})


def info(code, text="", node=None):
    """It is unknown whether the call took effect."""
    return answer("info", node, error={"code": str(code), "text": str(text)})


def error(code, text="", node=None):
    """As the code says: dsfuzz looks it up in the protocol's table and in `errors` of the recipe."""
    return answer("error", node, error={"code": str(code), "text": str(text)})


def not_supported(call):
    """The client does not know this function."""
    return fail("not-supported", call["f"])


def answer(kind, node, **fields):
    named = {} if node is None else {"node": node}
    return {"type": kind, **fields, **named}


def node_at(init, address):
    """The name of the node with this address, where that is another one than the client's own; else None.

    For systems that tell who answered (a redirect, a leader's address, a server behind a proxy): a client that hides
    it makes a false split brain.
    """
    if address is None or address == init["address"]:
        return None
    return next((node["name"] for node in init.get("nodes", []) if node["address"] == address), None)


def say(**line):
    print(json.dumps(line), flush=True)


def serve(connect, carry_out, functions=None, refused=(OSError,)):
    """Answers `init`, then one call after the other, until the input ends.

    `connect(init)` returns the connection; an exception of `refused` says that none came about, so that nothing was sent.
    `carry_out(connection, call)` returns the answer; it must catch whatever the connection raises, since only it knows
    what that says about the effect. `functions`: left out, whatever the workload needs.
    """
    init = json.loads(sys.stdin.readline())
    try:
        connection = connect(init)
    except refused as why:
        say(type="error", error={"code": "refused", "text": str(why).strip() or repr(why)})
        return
    say(type="init_ok", version=1, functions=functions or init["functions"])
    for line in sys.stdin:
        call = json.loads(line)
        if call["type"] == "close":
            return
        say(id=call["id"], **carry_out(connection, call))
