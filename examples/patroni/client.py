#!/usr/bin/env python3
"""A dsfuzz client for PostgreSQL: registers and sets, over one connection to one node (docs/client-protocol.md).

Needs psycopg2 (Debian: python3-psycopg2). It follows no failover: a standby refuses writes, and that is an answer.
"""
import pathlib
import sys

import psycopg2
from psycopg2 import errors

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "client"))
from dsfuzz_client import fail, info, node_at, not_supported, ok, serve


class Node:
    """One connection. `other`: the node at its other end, where that is not the client's own (a proxy between them)."""

    def __init__(self, init):
        self.carry_out = register if init["workload"] == "register" else grown_set
        self.connection = psycopg2.connect(
            host=init["address"], port=init["ports"]["client"], user="postgres", dbname="postgres",
            connect_timeout=max(2, int(init["options"]["timeout_ms"]) // 1000))
        self.connection.autocommit = True
        with self.connection.cursor() as db:
            db.execute("select host(inet_server_addr())")
            self.other = node_at(init, db.fetchone()[0])


class Standby(Exception):
    """This node is in recovery: what it holds may be old."""


def register(db, call):
    key, value = call["key"], call["value"]
    if call["f"] == "read":
        db.execute("select pg_is_in_recovery(), (select v from r where k = %s)", (key,))
        standby, found = db.fetchone()
        if standby:
            raise Standby("in recovery")
        return ok(found)
    if call["f"] == "write":
        db.execute("insert into r values (%s, %s) on conflict (k) do update set v = excluded.v", (key, value))
        return ok()
    if call["f"] == "cas":
        db.execute("update r set v = %s where k = %s and v = %s", (value[1], key, value[0]))
        if db.rowcount:
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
    """The answer to one call, with the node that gave it. Every statement is a transaction of its own (autocommit)."""
    return {**carried_out(node, call), **({"node": node.other} if node.other else {})}


def carried_out(node, call):
    try:
        with node.connection.cursor() as db:
            reply = node.carry_out(db, call)
    except (errors.ReadOnlySqlTransaction, Standby) as why:
        return fail("read-only", str(why).strip())
    except psycopg2.Error as why:
        return info("lost" if why.pgcode is None else why.pgcode, str(why).strip())
    if node.connection.notices:
        # "The transaction has already committed locally, but might not have been replicated": no acknowledgement.
        return info("warning", "".join(node.connection.notices).strip())
    return reply


if __name__ == "__main__":
    serve(Node, answer, refused=(psycopg2.Error,))
