"""Drives the scenarios with the Python SDK: driver.py SCENARIOS CONNECTION [CA]."""
import json
import os
import sys
from datetime import datetime, timedelta, timezone

from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.management import ServiceBusAdministrationClient, SqlRuleFilter

scenarios, connection, *ca = sys.argv[1:]
more = {"connection_verify": ca[0]} if ca else {}
client = ServiceBusClient.from_connection_string(connection, retry_total=0, **more)
administration = ServiceBusAdministrationClient.from_connection_string(os.environ["ADMINISTRATION"])
kept = {}


def made(of):
    return ServiceBusMessage(
        of["body"],
        message_id=of.get("id"),
        session_id=of.get("session"),
        subject=of.get("subject"),
        application_properties=of.get("properties"),
        time_to_live=timedelta(milliseconds=of["ttlMs"]) if "ttlMs" in of else None,
    )


def sender(to):
    return client.get_topic_sender(to) if to in ("topic", "timed") else client.get_queue_sender(to)


def receiver(source, mode=None, dead=False, **more):
    options = dict(more)
    if mode == "delete":
        options["receive_mode"] = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    if dead:
        options["sub_queue"] = ServiceBusSubQueue.DEAD_LETTER
    if "/" in source:
        topic, subscription = source.split("/")
        return client.get_subscription_receiver(topic, subscription, **options)
    return client.get_queue_receiver(source, **options)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def check(messages, expected):
    for message, wanted in zip(messages, expected):
        found = {
            "body": str(message),
            "id": message.message_id,
            "subject": message.subject,
            "deliveries": message.delivery_count,
            "reason": message.dead_letter_reason,
            "description": message.dead_letter_error_description,
            "properties": {
                text(k): text(v) for k, v in (message.application_properties or {}).items()
            },
        }
        for name, value in wanted.items():
            assert found[name] == value, f"{name}: {found[name]!r}, not {value!r}"


def settle(of, message, how):
    if how == "abandon":
        of.abandon_message(message)
    elif how == "defer":
        of.defer_message(message)
    elif how == "dead":
        of.dead_letter_message(message, reason="because", error_description="of this")
    else:
        of.complete_message(message)


def take(of, count, options):
    messages = []
    while len(messages) < count:
        some = of.receive_messages(max_message_count=count - len(messages), max_wait_time=5)
        assert some, f"waited in vain for message {len(messages) + 1}"
        messages += some
    check(messages, options.get("expect", []))
    if options.get("keep"):
        kept[options["keep"]] = [message.sequence_number for message in messages]
    if options.get("mode") != "delete":
        for message in messages:
            settle(of, message, options.get("settle"))


def in_session(of, steps):
    for name, *rest in steps:
        if name == "receive":
            take(of, *rest)
        elif name == "set":
            of.session.set_state(rest[0])
        elif name == "get":
            assert text(of.session.get_state()) == rest[0]
        elif name == "renew":
            assert of.session.renew_lock() > datetime.now(timezone.utc)
        elif name == "id":
            assert of.session.session_id == rest[0]


def administer(what, name, *rest):
    if what == "create queue":
        administration.create_queue(name, lock_duration=rest[0]["lock"], max_delivery_count=rest[0]["deliveries"])
    elif what == "get queue":
        found = administration.get_queue(name)
        assert found.lock_duration == timedelta(seconds=rest[0]["lockSeconds"]), found.lock_duration
        assert found.max_delivery_count == rest[0]["deliveries"], found.max_delivery_count
    elif what == "update queue":
        found = administration.get_queue(name)
        found.max_delivery_count = rest[0]["deliveries"]
        administration.update_queue(found)
    elif what == "count":
        assert administration.get_queue_runtime_properties(name).active_message_count == rest[0]
    elif what == "list queues":
        assert name in [queue.name for queue in administration.list_queues()]
    elif what == "delete queue":
        administration.delete_queue(name)
    elif what == "create topic":
        administration.create_topic(name)
    elif what == "create subscription":
        administration.create_subscription(name, rest[0])
        administration.create_rule(name, rest[0], "mine", filter=SqlRuleFilter(rest[1]))
        administration.delete_rule(name, rest[0], "$Default")
        assert [rule.name for rule in administration.list_rules(name, rest[0])] == ["mine"]
    else:
        raise NotImplementedError(what)


def run(name, *rest):
    if name == "administer":
        administer(*rest)
    elif name == "send":
        with sender(rest[0]) as to:
            for message in rest[1]:
                to.send_messages(made(message))
    elif name == "batch":
        with sender(rest[0]) as to:
            batch = to.create_message_batch()
            for message in rest[1]:
                batch.add_message(made(message))
            to.send_messages(batch)
    elif name == "large":
        with sender(rest[0]) as to:
            to.send_messages(ServiceBusMessage("x" * rest[1]))
    elif name == "schedule":
        at = datetime.now(timezone.utc) + timedelta(milliseconds=rest[2])
        with sender(rest[0]) as to:
            kept[rest[3]] = to.schedule_messages(made(rest[1]), at)
    elif name == "cancel":
        with sender(rest[0]) as to:
            to.cancel_scheduled_messages(kept[rest[1]])
    elif name == "receive":
        source, count, options = rest
        with receiver(source, options.get("mode"), options.get("dead", False)) as of:
            take(of, count, options)
    elif name == "deferred":
        with receiver(rest[0]) as of:
            messages = of.receive_deferred_messages(kept[rest[1]])
            check(messages, rest[2].get("expect", []))
            for message in messages:
                of.complete_message(message)
    elif name == "peek":
        with receiver(rest[0]) as of:
            messages = of.peek_messages(rest[1])
            assert len(messages) == len(rest[2])
            check(messages, rest[2])
    elif name == "renewed":
        with receiver(rest[0]) as of:
            [message] = of.receive_messages(1, max_wait_time=5)
            before = message.locked_until_utc
            assert of.renew_message_lock(message) >= before
            of.complete_message(message)
    elif name == "empty":
        with receiver(rest[0]) as of:
            assert of.receive_messages(1, max_wait_time=0.5) == []
    elif name == "session":
        of = NEXT_AVAILABLE_SESSION if rest[1] is None else rest[1]
        with receiver(rest[0], session_id=of, max_wait_time=5) as held:
            in_session(held, rest[2])
    elif name == "error":
        try:
            run(*rest[0])
        except Exception:
            return
        raise AssertionError("no error")
    else:
        raise NotImplementedError(name)


with open(scenarios) as file, client:
    for scenario in json.load(file)["scenarios"]:
        try:
            for step in scenario["steps"]:
                run(*step)
            why = None
        except Exception as fault:
            why = f"{type(fault).__name__}: {fault}"
        print(json.dumps({"name": scenario["name"], "why": why}), flush=True)
