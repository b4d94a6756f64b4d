#!/usr/bin/env python3
"""A dsfuzz client that drives a RabbitMQ queue as a set (docs/client-protocol.md). Needs pika (Debian: python3-pika).

add: publish a persistent message and wait for the broker's confirm. read: take messages, until the queue is empty. A read
takes away what it returns, so the recipe says `final_reads: until-empty`.
"""
import json
import logging
import pathlib
import sys

import pika
from pika import exceptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "client"))
from dsfuzz_client import fail, info, not_supported, ok, serve

QUEUE = "dsfuzz"
# The most messages that one read takes. dsfuzz reads on until a read returns nothing.
CHUNK = 500


def connect(init):
    seconds = int(init["options"]["timeout_ms"]) / 1000
    parameters = pika.ConnectionParameters(
        init["address"], init["ports"]["client"], heartbeat=0, socket_timeout=seconds, stack_timeout=seconds,
        blocked_connection_timeout=seconds, connection_attempts=1)
    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()
    return channel


def take(channel):
    """Takes up to CHUNK messages. That there are none is what the broker says, not what a silence looks like."""
    values, last = [], None
    channel.basic_qos(prefetch_count=CHUNK)
    for method, _, body in channel.consume(QUEUE, inactivity_timeout=2):
        if method is None:
            break
        values.append(json.loads(body))
        last = method.delivery_tag
        if len(values) == CHUNK:
            break
    if last is not None:
        channel.basic_ack(last, multiple=True)
    # What was sent here and is not acknowledged goes back to the queue.
    channel.cancel()
    if not values:
        method, _, body = channel.basic_get(QUEUE)
        if method is not None:
            values.append(json.loads(body))
            channel.basic_ack(method.delivery_tag)
    # An acknowledgement has no answer. This call has one, and comes after it.
    channel.queue_declare(QUEUE, passive=True)
    return values


def carry_out(channel, call):
    if call["f"] == "add":
        body = json.dumps(call["value"]).encode()
        properties = pika.BasicProperties(delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE)
        channel.basic_publish("", QUEUE, body, properties, mandatory=True)
        return ok()
    if call["f"] == "read":
        return ok(take(channel))
    return not_supported(call)


def answer(channel, call):
    try:
        return carry_out(channel, call)
    except exceptions.UnroutableError as why:
        # Returned before the confirm: no queue has it.
        return fail("unroutable", repr(why))
    except exceptions.NackError as why:
        # The broker could not do it, which does not say that no replica has it.
        return info("nack", repr(why))
    except (exceptions.AMQPError, OSError) as why:
        return info("lost", repr(why))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve(connect, answer, functions=["add", "read"], refused=(exceptions.AMQPError, OSError))
