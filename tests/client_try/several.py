"""A client of the key-value server beside it that serves several clients, with one mistake by name: `several.py NAME`."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/client"))
import dsfuzz_client
from dsfuzz_client import fail, info, not_supported, ok, serve

MISTAKE = sys.argv[1] if len(sys.argv) > 1 else "none"


def connect(init):
    connection = socket.create_connection((init["address"], init["ports"]["client"]), timeout=2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def carry_out(connection, call):
    words = {"read": ["GET"], "write": ["SET", call["value"]], "cas": ["CAS", *(call["value"] or [])]
             if call["f"] == "cas" else None}.get(call["f"])
    if words is None:
        return not_supported(call)
    connection.settimeout(call["deadline_ms"] / 1000 * 0.8)
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
