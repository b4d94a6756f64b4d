"""The loop of a dsfuzz client in Python, with nothing but the standard library (docs/client-protocol.md).

    from dsfuzz_client import fail, node_at, ok, serve

    def connect(init): ...                 # to init["address"], and to no other node
    def carry_out(connection, call): ...   # one call; returns ok(), fail(..), info(..) or error(..)

    serve(connect, carry_out, refused=(OSError,))

Clients beside their recipe find it by `sys.path.insert(0, "<this folder>")`.
"""
import json
import os
import queue
import sys
import threading
import traceback


NOTHING = object()
OUTPUT = threading.Lock()


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
    text = json.dumps(line) + "\n"
    with OUTPUT:
        sys.stdout.write(text)
        sys.stdout.flush()


def close_it(connection):
    """Closes a connection that can be closed."""
    if hasattr(connection, "close"):
        connection.close()


def serve(connect, carry_out, functions=None, refused=(OSError,), close=close_it):
    """Answers `init`, then one call after the other, until the input ends.

    `connect(init)` returns the connection; an exception of `refused` says that none came about, so that nothing was sent.
    `carry_out(connection, call)` returns the answer; it must catch whatever the connection raises, since only it knows
    what that says about the effect. `functions`: left out, whatever the workload needs.

    With `clients_per_program` in the recipe, each client of the program has a thread and a connection of its own.
    `close(connection)` is called when a client leaves, maybe within a call of its thread: it must cut the connection at once.
    """
    init = json.loads(sys.stdin.readline())
    if "client" in init:
        serve_several(init, lambda init, calls, hold: client(init, calls, hold, connect, carry_out, functions, refused), close)
    else:
        client(init, map(json.loads, sys.stdin), lambda connection: None, connect, carry_out, functions, refused)


def client(init, calls, hold, connect, carry_out, functions, refused):
    """Answers the `init` and the calls of one client."""
    named = {"client": init["client"]} if "client" in init else {}
    try:
        connection = connect(init)
    except refused as why:
        say(type="error", **named, error={"code": "refused", "text": str(why).strip() or repr(why)})
        return
    hold(connection)
    say(type="init_ok", version=1, functions=functions or init["functions"], **named)
    for call in calls:
        if call["type"] == "close":
            return
        say(id=call["id"], **named, **carry_out(connection, call))


def serve_several(first, run, close):
    """Gives each client a thread, and its lines to that thread. A client that fails ends the program, and so all of them."""
    lines, connections, gone = {}, {}, set()
    lock = threading.Lock()

    def thread(init, calls):
        try:
            run(init, iter(calls.get, None), lambda held: hold(init["client"], held))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def begin(init):
        lines[init["client"]] = queue.SimpleQueue()
        threading.Thread(target=thread, args=(init, lines[init["client"]]), daemon=True).start()

    def hold(number, connection):
        """Keeps a connection for its close. A client that has left while it connected is closed at once."""
        with lock:
            if number not in gone:
                connections[number] = connection
                return
        cut(connection)

    def cut(connection):
        """Closes in a thread that may wait: a library may close only after the call that is under way."""
        try:
            close(connection)
        except Exception:
            traceback.print_exc()

    begin(first)
    for text in sys.stdin:
        line = json.loads(text)
        if "client" not in line:
            return
        if line["type"] == "init":
            begin(line)
            continue
        lines[line["client"]].put(line)
        if line["type"] == "close":
            del lines[line["client"]]
            with lock:
                gone.add(line["client"])
                connection = connections.pop(line["client"], None)
            if connection is not None:
                threading.Thread(target=cut, args=(connection,), daemon=True).start()
