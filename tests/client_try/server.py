"""A key-value server with one line for each request and answer: GET, SET, CAS, ADD, SUM. Its first line names its port."""
import socketserver
import threading

VALUES, LOCK = {}, threading.Lock()


def answer(words):
    name, key, *rest = words
    held = VALUES.get(key)
    if name == "GET":
        return "nil" if held is None else held
    if name == "CAS" and held != rest[0]:
        return "no"
    if name == "ADD":
        rest = [str(int(held or 0) + int(rest[0]))]
    VALUES[key] = rest[-1]
    return "ok"


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            with LOCK:
                reply = answer(line.decode().split())
            try:
                self.wfile.write(reply.encode() + b"\n")
            except OSError:
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


with Server(("127.0.0.1", 0), Connection) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
