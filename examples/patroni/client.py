#!/usr/bin/env python3
"""A dsfuzz client for PostgreSQL: registers and sets, over one connection to one node (docs/client-protocol.md).

Needs psycopg2 (Debian: python3-psycopg2). It follows no failover: a standby refuses writes, and that is an answer.
"""
import json
import sys

import psycopg2
from psycopg2 import errors


def say(**line):
    print(json.dumps(line), flush=True)


class Standby(Exception):
    """This node is in recovery: what it holds may be old."""


def register(db, call):
    key, value = call["key"], call["value"]
    if call["f"] == "read":
        db.execute("select pg_is_in_recovery(), (select v from r where k = %s)", (key,))
        standby, found = db.fetchone()
        if standby:
            raise Standby("in recovery")
        return {"type": "ok", "value": found}
    if call["f"] == "write":
        db.execute("insert into r values (%s, %s) on conflict (k) do update set v = excluded.v", (key, value))
        return {"type": "ok"}
    if call["f"] == "cas":
        db.execute("update r set v = %s where k = %s and v = %s", (value[1], key, value[0]))
        if db.rowcount:
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
            reply = carry_out(db, call)
    except (errors.ReadOnlySqlTransaction, Standby) as error:
        return {"type": "fail", "error": {"code": "read-only", "text": str(error).strip()}}
    except psycopg2.Error as error:
        code = "lost" if error.pgcode is None else error.pgcode
        return {"type": "info", "error": {"code": code, "text": str(error).strip()}}
    if connection.notices:
        # "The transaction has already committed locally, but might not have been replicated": no acknowledgement.
        return {"type": "info", "error": {"code": "warning", "text": "".join(connection.notices).strip()}}
    return reply


def main():
    init = json.loads(sys.stdin.readline())
    try:
        connection = psycopg2.connect(
            host=init["address"], port=init["ports"]["client"], user="postgres", dbname="postgres",
            connect_timeout=max(2, int(init["options"]["timeout_ms"]) // 1000))
    except psycopg2.Error as error:
        say(type="error", error={"code": "refused", "text": str(error).strip()})
        return
    connection.autocommit = True
    say(type="init_ok", version=1, functions=init["functions"])
    carry_out = register if init["workload"] == "register" else grown_set
    for line in sys.stdin:
        call = json.loads(line)
        if call["type"] == "close":
            return
        say(id=call["id"], **answer(connection, carry_out, call))


if __name__ == "__main__":
    main()
