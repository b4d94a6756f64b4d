"""A client of the key-value server beside it that serves several clients, with one mistake by name: `several.py NAME`."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/client"))
import dsfuzz_client
from dsfuzz_client import fail, info, not_supported, ok, serve

MISTAKE = sys.argv[1] if len(sys.argv) > 1 else "none"


def connect(init):
    connection = socket.create_connection((init["address"], init["ports"]["client"]), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def carry_out(connection, call):
    words = {"read": ["GET"], "write": ["SET", call["value"]], "cas": ["CAS", *(call["value"] or [])]
             if call["f"] == "cas" else None}.get(call["f"])
    if words is None:
        return not_supported(call)
    # A third is long for a server on this machine, and leaves two to a machine that is busy.
    share = 0.8 if MISTAKE == "clients wait for each other" else 1 / 3
    connection.settimeout(call["deadline_ms"] / 1000 * share)
    try:
        request = [words[0], f"k{call['key']}", *words[1:]]
        connection.sendall((" ".join(map(str, request)) + "\n").encode())
        reply = b""
        while not reply.endswith(b"\n"):
            part = connection.recv(4096)
            if not part:
                return info("lost", "end of the connection")
            reply += part
    except OSError as why:
        # An answer that comes later would be taken for that of the next call.
        close(connection)
        return info("lost", why)
    reply = reply.decode().strip()
    if call["f"] == "read":
        return ok(None if reply == "nil" else int(reply))
    return ok() if reply == "ok" else fail("precondition", "another value")


def close(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


if MISTAKE == "clients wait for each other":
    alone = dsfuzz_client.threading.Lock()
    together = carry_out

    def carry_out(connection, call):
        with alone:
            return together(connection, call)


if MISTAKE == "another client's number":
    right = dsfuzz_client.say
    dsfuzz_client.say = lambda **line: right(**{**line, "client": 0} if "client" in line and "id" in line else line)

serve(connect, carry_out, functions=["read", "write", "cas"], close=close)
