"""A client of the key-value server beside it, with one mistake by name: `client.py NAME`; without a name it is right."""
import json
import socket
import sys
import time

MISTAKE = sys.argv[1] if len(sys.argv) > 1 else "none"


class Lost(Exception):
    pass


class Server:
    def __init__(self, init):
        self.init, self.unread = init, 0
        self.connect()

    def connect(self):
        self.socket = socket.create_connection((self.init["address"], self.init["ports"]["client"]), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("r")

    def end(self):
        """An answer that comes later would be taken for that of the next call."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def ask(self, words, timeout):
        self.socket.settimeout(timeout)
        try:
            self.socket.sendall((" ".join(map(str, words)) + "\n").encode())
            if MISTAKE == "ok without the server's answer" and words[0] != "GET":
                self.unread += 1
                return "ok"
            while self.unread > 0 and self.replies.readline():
                self.unread -= 1
            reply = self.replies.readline()
        except OSError as why:
            self.end()
            raise Lost(str(why)) from why
        if not reply:
            raise Lost("end of the connection")
        return reply.strip()


def say(**line):
    print(json.dumps(line), flush=MISTAKE != "no flush")


def number(reply):
    if reply == "nil":
        return None
    return reply if MISTAKE == "values as texts" else int(reply)


def carry_out(server, call):
    f, key, value = call["f"], f"k{call['key']}", call["value"]
    # A third is long for a server on this machine, and leaves two to a machine that is busy.
    timeout = call["deadline_ms"] / 1000 / 3
    if MISTAKE == "answers after the deadline":
        timeout = call["deadline_ms"] / 1000 * 1.2
    ask = lambda *words: server.ask(words, timeout)
    if f == "read" and init["object"] == "counter":
        return {"type": "ok", "value": number(ask("GET", key)) or 0}
    if f == "read":
        found = number(ask("GET", key))
        if MISTAKE == "a read with an effect" and found is not None:
            ask("SET", key, found + 1)
        return {"type": "ok", "value": found}
    if f == "add":
        ask("ADD", key, value)
        return {"type": "ok"}
    if f == "write":
        if MISTAKE != "a write without effect" or value % 5:
            ask("SET", key, value)
        return {"type": "ok"}
    if f == "cas":
        if ask("CAS", key, *value) == "ok" or MISTAKE == "ok to a cas that did not match":
            return {"type": "ok"}
        return {"type": "fail", "error": {"code": "precondition", "text": "another value"}}
    if MISTAKE == "ok to an unknown function":
        return {"type": "ok"}
    return {"type": "fail", "error": {"code": "not-supported", "text": f}}


init = json.loads(sys.stdin.readline())
try:
    server = Server(init)
except OSError as why:
    if MISTAKE == "hangs without a server":
        time.sleep(60)
    say(type="error", error={"code": "refused", "text": str(why)})
    sys.exit()
if MISTAKE == "connecting has an effect":
    for key in range(100):
        if server.ask(["GET", f"k{key}"], 5) != "nil":
            server.ask(["SET", f"k{key}", 77], 5)
functions = ["read", "write", "cas", "add"]
say(type="init_ok", version=1, functions=functions[1:] if MISTAKE == "a function is not named" else functions)
for line in sys.stdin:
    call = json.loads(line)
    if call["type"] == "close":
        break
    if MISTAKE == "a stray line":
        print("connected", flush=True)
    try:
        answer = carry_out(server, call)
    except Lost as why:
        answer = {"type": "info", "error": {"code": "lost", "text": str(why)}}
        if MISTAKE == "a lost connection is called fail":
            answer = {"type": "fail", "error": {"code": "aborted", "text": str(why)}}
        if MISTAKE == "a call is sent again":
            server.connect()
            answer = carry_out(server, call)
    say(id=call["id"] + (MISTAKE == "the id of another call"), **answer)
if MISTAKE == "does not end with its input":
    time.sleep(60)
