#!/usr/bin/env python3
"""A dsfuzz client for Redis sets, with nothing but the standard library.

Speaks JSON lines with dsfuzz (docs/client-protocol.md) and RESP with the redis-server of its own node, and with no
other: it asks no Sentinel and follows no failover. A client that did would hide what this test looks for.
"""
import json
import socket
import sys


class Refused(Exception):
    """No connection came about: nothing was sent."""


class Redis:
    """One connection to one server, one command at a time."""

    def __init__(self, address, port, timeout):
        try:
            self.socket = socket.create_connection((address, port), timeout)
        except OSError as error:
            raise Refused(str(error)) from error
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


def say(**line):
    print(json.dumps(line), flush=True)


def carry_out(redis, call):
    """The answer to one call, without its id."""
    key = "dsfuzz:%s" % json.dumps(call["key"])
    try:
        if call["f"] == "add":
            redis.command("SADD", key, json.dumps(call["value"]))
            return {"type": "ok"}
        if call["f"] == "read":
            return {"type": "ok", "value": [json.loads(member) for member in redis.command("SMEMBERS", key)]}
        return {"type": "fail", "error": {"code": "not-supported", "text": call["f"]}}
    except ReplyError as error:
        # dsfuzz decides by the code: the recipe lists those with which Redis refuses before it does anything.
        return {"type": "error", "error": {"code": error.code, "text": str(error)}}
    except TimeoutError:
        return {"type": "info", "error": {"code": "timeout", "text": "no answer in time"}}
    except (OSError, ValueError) as error:
        return {"type": "info", "error": {"code": "lost", "text": str(error)}}


def main():
    init = json.loads(sys.stdin.readline())
    timeout = int(init["options"].get("timeout_ms", "3000")) / 1000
    try:
        redis = Redis(init["address"], init["ports"]["client"], timeout)
    except Refused as error:
        say(type="error", error={"code": "refused", "text": str(error)})
        return
    say(type="init_ok", version=1, functions=["add", "read"])
    for line in sys.stdin:
        call = json.loads(line)
        if call["type"] == "close":
            return
        say(id=call["id"], **carry_out(redis, call))


if __name__ == "__main__":
    main()
