#!/usr/bin/env python3
"""A dsfuzz client for MariaDB with Galera: registers and sets, over one connection to one node (docs/client-protocol.md).

Needs PyMySQL (Debian: python3-pymysql). It retries nothing and follows nobody: every node of Galera takes writes.
"""
import json
import sys

import pymysql
from pymysql.constants import CLIENT


def say(**line):
    print(json.dumps(line), flush=True)


def register(db, call):
    key, value = call["key"], call["value"]
    if call["f"] == "read":
        db.execute("select v from r where k = %s", (key,))
        row = db.fetchone()
        return {"type": "ok", "value": row and row[0]}
    if call["f"] == "write":
        db.execute("insert into r values (%s, %s) on duplicate key update v = values(v)", (key, value))
        return {"type": "ok"}
    if call["f"] == "cas":
        found = db.execute("update r set v = %s where k = %s and v = %s", (value[1], key, value[0]))
        if found:
            return {"type": "ok"}
        return {"type": "fail", "error": {"code": "precondition", "text": "no row with the old value"}}
    return {"type": "fail", "error": {"code": "not-supported", "text": call["f"]}}


def grown_set(db, call):
    key = call["key"] or 0
    if call["f"] == "add":
        db.execute("insert into s values (%s, %s)", (key, call["value"]))
        return {"type": "ok"}
    if call["f"] == "read":
        db.execute("select e from s where k = %s", (key,))
        return {"type": "ok", "value": [row[0] for row in db.fetchall()]}
    return {"type": "fail", "error": {"code": "not-supported", "text": call["f"]}}


def answer(connection, carry_out, call):
    """The answer to one call, without its id. Every statement is a transaction of its own (autocommit)."""
    try:
        with connection.cursor() as db:
            return carry_out(db, call)
    except pymysql.err.MySQLError as error:
        # dsfuzz decides by the number: the recipe lists those with which the server rolled back.
        code = error.args[0] if error.args else "unknown"
        return {"type": "error", "error": {"code": str(code), "text": str(error)}}
    except OSError as error:
        return {"type": "info", "error": {"code": "lost", "text": str(error)}}


def main():
    init = json.loads(sys.stdin.readline())
    options = init["options"]
    try:
        connection = pymysql.connect(
            host=init["address"], port=init["ports"]["client"], user="t", password="t", database="t", autocommit=True,
            connect_timeout=int(options["timeout_ms"]) / 1000, client_flag=CLIENT.FOUND_ROWS,
            init_command="set session wsrep_sync_wait = %d" % int(options["sync_wait"]))
    except (pymysql.err.MySQLError, OSError) as error:
        say(type="error", error={"code": "refused", "text": str(error)})
        return
    say(type="init_ok", version=1, functions=init["functions"])
    carry_out = register if init["workload"] == "register" else grown_set
    for line in sys.stdin:
        call = json.loads(line)
        if call["type"] == "close":
            return
        say(id=call["id"], **answer(connection, carry_out, call))


if __name__ == "__main__":
    main()
