"""A store over HTTP with keys, a queue and a lock. It keeps a journal, and acknowledges a change when the journal is on disk.

With --unsafe it acknowledges first and writes the journal once a second: what a crash takes away was acknowledged.
"""
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
unsafe = "--unsafe" in sys.argv
mutex, keys, queue, holder = threading.Lock(), {}, [], {}
journal = open(path, "a+")


def apply(change):
    what, name, value = change
    if what == "set":
        keys[name] = value
    elif what == "push":
        queue.append(value)
    elif what == "pop":
        queue.pop(0)
    elif what == "hold":
        holder["owner"] = value


def change(*entry):
    apply(entry)
    journal.write(json.dumps(entry) + "\n")
    if not unsafe:
        journal.flush()
        os.fsync(journal.fileno())


def write_now_and_then():
    while True:
        time.sleep(1)
        with mutex:
            journal.flush()


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}")
        with mutex:
            status, value = self.carry_out(body)
        data = b"" if status == 204 else json.dumps({"value": value}).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def carry_out(self, body):
        name, _, rest = self.path[1:].partition("/")
        if (self.command, name) == ("GET", "kv"):
            return (200, keys[rest]) if rest in keys else (404, None)
        if (self.command, name) == ("PUT", "kv"):
            if "from" in body and keys.get(rest) != body["from"]:
                return 409, keys.get(rest)
            return 200, change("set", rest, body["value"])
        if (self.command, name) == ("POST", "queue"):
            return 200, change("push", None, body["value"])
        if (self.command, name) == ("DELETE", "queue"):
            value = queue[0] if queue else None
            return (200, change("pop", None, None) or value) if queue else (204, None)
        if (self.command, name) == ("POST", "lock"):
            return (423, holder["owner"]) if holder.get("owner") else (200, change("hold", None, body["owner"]))
        if (self.command, name) == ("DELETE", "lock"):
            return (200, change("hold", None, None)) if holder.get("owner") == body["owner"] else (404, None)
        return 400, self.path

    def log_message(self, *_):
        pass


journal.seek(0)
for line in journal:
    if line.endswith("\n"):
        apply(json.loads(line))
threading.Thread(target=write_now_and_then, daemon=True).start()
ThreadingHTTPServer((address, port), Service).serve_forever()
