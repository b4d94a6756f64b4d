#!/usr/bin/env python3
"""A dsfuzz client for Redis sets, with nothing but the standard library.

Speaks JSON lines with dsfuzz (docs/client-protocol.md) and RESP with the redis-server of its own node, and with no
other: it asks no Sentinel and follows no failover. A client that did would hide what this test looks for.
"""
import json
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "client"))
from dsfuzz_client import error, info, not_supported, ok, serve


class Redis:
    """One connection to one server, one command at a time."""

    def __init__(self, address, port, timeout):
        self.socket = socket.create_connection((address, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def command(self, *words):
        """Sends one command; its reply, an error reply as ReplyError."""
        parts = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.socket.sendall(request)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection ended within a reply")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.exactly(int(rest))
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise ConnectionError("not RESP: %r" % line)

    def exactly(self, count):
        data = self.file.read(count + 2)
        if len(data) != count + 2:
            raise ConnectionError("the connection ended within a reply")
        return data[:-2].decode()


class ReplyError(Exception):
    """The server's own error, e.g. READONLY You can't write against a read only replica."""

    @property
    def code(self):
        return str(self).split(" ", 1)[0]


def carry_out(redis, call):
    """The answer to one call."""
    key = "dsfuzz:%s" % json.dumps(call["key"])
    try:
        if call["f"] == "add":
            redis.command("SADD", key, json.dumps(call["value"]))
            return ok()
        if call["f"] == "read":
            return ok([json.loads(member) for member in redis.command("SMEMBERS", key)])
        return not_supported(call)
    except ReplyError as why:
        # dsfuzz decides by the code: the recipe lists those with which Redis refuses before it does anything.
        return error(why.code, why)
    except TimeoutError:
        return info("timeout", "no answer in time")
    except (OSError, ValueError) as why:
        return info("lost", why)


def connect(init):
    timeout = int(init["options"].get("timeout_ms", "3000")) / 1000
    return Redis(init["address"], init["ports"]["client"], timeout)


if __name__ == "__main__":
    serve(connect, carry_out, functions=["add", "read"])
