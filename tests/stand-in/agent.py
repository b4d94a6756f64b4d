#!/usr/bin/python3
"""A stand-in for the agent: greets, and answers Hello, Heartbeat, Run, Write, Read and Bye. Each request on its own thread, so
that answers come out of order. Ends with its input."""
import json, os, struct, subprocess, sys, threading, time

out, lock = sys.stdout.buffer, threading.Lock()


def send(body, blob=b""):
    text = json.dumps(body).encode()
    with lock:
        out.write(struct.pack(">II", len(text), len(blob)) + text + blob)
        out.flush()


def read(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        os._exit(0)
    return data


def told(body, blob):
    name, value = (body, None) if isinstance(body, str) else next(iter(body.items()))
    if name == "hello":
        boot = open("/proc/sys/kernel/random/boot_id").read().strip()
        return {"hello": dict(version=1, boot_id=boot, kernel=os.uname().release, arch=os.uname().machine,
                              ping_port=0, pids=[os.getpid(), os.getpid()])}, b""
    if name == "heartbeat" or name == "bye":
        return "done", b""
    if name == "run":
        argv = value["argv"]
        argv = ["/bin/sh", "-c", argv[0]] if len(argv) == 1 else argv
        p = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return {"ran": dict(status=p.returncode, stdout=p.stdout, stderr=p.stderr, late=False)}, b""
    if name == "write":
        os.makedirs(os.path.dirname(value["path"]), exist_ok=True)
        with open(value["path"], "wb" if value["offset"] == 0 else "r+b") as f:
            f.seek(value["offset"])
            f.write(blob)
        os.chmod(value["path"], value["mode"])
        return "done", b""
    if name == "read":
        with open(value["path"], "rb") as f:
            f.seek(value["offset"])
            return {"chunk": dict(size=os.fstat(f.fileno()).st_size)}, f.read(value["bytes"])
    return {"failed": "the stand-in does not know " + name}, b""


def serve(request, blob):
    try:
        body, blob = told(request["body"], blob)
    except OSError as error:
        body, blob = {"failed": str(error)}, b""
    send({"id": request["id"], "body": body}, blob)
    if request["body"] and "bye" in request["body"]:
        os._exit(0)


if os.path.exists("/etc/stand-in-complains"):
    sys.exit("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.99' not found")
sys.stderr.write("stand-in: here\n")
out.write(b"\n<<dsfuzz-agent 1>>\n")
out.flush()
while True:
    head = struct.unpack(">II", read(8))
    request, blob = json.loads(read(head[0])), read(head[1])
    if "write" in request["body"] or "read" in request["body"]:
        serve(request, blob)  # in order, as the file needs it
    else:
        threading.Thread(target=serve, args=(request, blob), daemon=True).start()
