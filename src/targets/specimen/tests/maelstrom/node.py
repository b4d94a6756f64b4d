"""Node programs that speak Maelstrom's protocol, for tests: python3 node.py KIND."""
import json
import sys

kind = sys.argv[1]
me, others, elements, waiting, sent = None, [], set(), {}, 0


def send(dest, body):
    print(json.dumps({"src": me, "dest": dest, "body": body}), flush=True)


def reply(message, body):
    send(message["src"], {**body, "in_reply_to": message["body"]["msg_id"]})


def ask(dest, body, then):
    global sent
    sent += 1
    waiting[sent] = then
    send(dest, {**body, "msg_id": sent})


def carry_out(message):
    body = message["body"]
    if kind == "proxy":
        # Everything is done by a service.
        request = {name: value for name, value in body.items() if name != "msg_id"}
        ask("lin-kv", request, lambda answer: reply(message, {k: v for k, v in answer.items() if k != "in_reply_to"}))
    elif body["type"] == "topology":
        others.extend(body["topology"][me])
        reply(message, {"type": "topology_ok"})
    elif body["type"] == "broadcast":
        if body["message"] not in elements:
            elements.add(body["message"])
            for other in others:
                send(other, {"type": "broadcast", "message": body["message"]})
        if "msg_id" in body:
            reply(message, {"type": "broadcast_ok"})
    elif body["type"] == "read":
        reply(message, {"type": "read_ok", "messages": sorted(elements)})
    elif body["type"] == "echo" and kind == "elsewhere" and me != others[-1]:
        # The last node answers the client.
        send(others[-1], {**body, "client": message["src"]})
    elif body["type"] == "echo":
        if kind == "ends":
            sys.exit(3)
        if kind == "malformed":
            print("an echo came", flush=True)
        message["src"] = body.get("client", message["src"])
        reply(message, {"type": "echo_ok", "echo": body["echo"] + ("!" if kind == "wrong" else "")})


for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    if body["type"] == "init":
        me = body["node_id"]
        others = body["node_ids"] if kind == "elsewhere" else []
        reply(message, {"type": "init_ok"})
    elif "in_reply_to" in body:
        waiting.pop(body["in_reply_to"])(body)
    else:
        carry_out(message)
