#!/usr/bin/env python3
"""A dsfuzz client for MariaDB with Galera: registers and sets, over one connection to one node (docs/client-protocol.md).

Needs PyMySQL (Debian: python3-pymysql). It never retries and follows no redirect: every node of Galera takes writes.
"""
import pathlib
import sys

import pymysql
from pymysql.constants import CLIENT

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "client"))
from dsfuzz_client import error, fail, info, node_at, not_supported, ok, serve


class Node:
    """One connection. `other`: the node at its other end, where that is not the client's own (a proxy between them)."""

    def __init__(self, init):
        options = init["options"]
        self.carry_out = register if init["workload"] == "register" else grown_set
        self.connection = pymysql.connect(
            host=init["address"], port=init["ports"]["client"], user="t", password="t", database="t", autocommit=True,
            connect_timeout=int(options["timeout_ms"]) / 1000, client_flag=CLIENT.FOUND_ROWS,
            init_command="set session wsrep_sync_wait = %d" % int(options["sync_wait"]))
        with self.connection.cursor() as db:
            # Answered in every state of a node, and without waiting for others as a select may.
            db.execute("show global variables like 'wsrep_node_address'")
            self.other = node_at(init, db.fetchone()[1].split(":")[0])


def register(db, call):
    key, value = call["key"], call["value"]
    if call["f"] == "read":
        db.execute("select v from r where k = %s", (key,))
        row = db.fetchone()
        return ok(row and row[0])
    if call["f"] == "write":
        db.execute("insert into r values (%s, %s) on duplicate key update v = values(v)", (key, value))
        return ok()
    if call["f"] == "cas":
        found = db.execute("update r set v = %s where k = %s and v = %s", (value[1], key, value[0]))
        if found:
            return ok()
        return fail("precondition", "no row with the old value")
    return not_supported(call)


def grown_set(db, call):
    key = call["key"] or 0
    if call["f"] == "add":
        db.execute("insert into s values (%s, %s)", (key, call["value"]))
        return ok()
    if call["f"] == "read":
        db.execute("select e from s where k = %s", (key,))
        return ok([row[0] for row in db.fetchall()])
    return not_supported(call)


def answer(node, call):
    """The answer to one call. Every statement is a transaction of its own (autocommit)."""
    try:
        with node.connection.cursor() as db:
            reply = node.carry_out(db, call)
    except pymysql.err.MySQLError as why:
        # dsfuzz decides by the number: the recipe lists those with which the server rolled back.
        reply = error(why.args[0] if why.args else "unknown", why)
    except OSError as why:
        reply = info("lost", why)
    return {**reply, **({"node": node.other} if node.other else {})}


if __name__ == "__main__":
    serve(Node, answer, refused=(pymysql.err.MySQLError, OSError))
