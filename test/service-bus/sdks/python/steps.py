"""The steps of a scenario with the Python SDK, by a client for each scenario."""
import time
from datetime import datetime, timedelta, timezone

from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
    TransportType,
)
from azure.servicebus.exceptions import MessageSizeExceededError

from administration import administer
from messages import check, made, text

PATIENCE = 10
# Long enough for what is there to come, on a machine that is busy.
EMPTY = 0.5
SUB_QUEUES = {
    "dead": ServiceBusSubQueue.DEAD_LETTER,
    "transfer": ServiceBusSubQueue.TRANSFER_DEAD_LETTER,
}


def now():
    return datetime.now(timezone.utc)


def client_of(brief):
    more = {"connection_verify": brief["ca"]} if brief["ca"] else {}
    if brief["way"] == "websockets":
        more["transport_type"] = TransportType.AmqpOverWebsocket
        more["custom_endpoint_address"] = f"sb://{brief['host']}:{brief['port']}"
    return ServiceBusClient.from_connection_string(brief["connection"], retry_total=0, **more)


def settle(of, message, step):
    how = step.get("settle")
    if how == "abandon":
        of.abandon_message(message)
    elif how == "defer":
        of.defer_message(message)
    elif how == "dead":
        of.dead_letter_message(message, reason="because", error_description="of this")
    else:
        of.complete_message(message)


def reason_of(fault):
    """In the names of the list: those of the classes, less what is the same in all."""
    return type(fault).__name__.removeprefix("ServiceBus").removesuffix("Error")


class Scenario:
    def __init__(self, brief, restart):
        self.brief = brief
        self.restart = restart
        self.kept = {}
        self.client = client_of(brief)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def sender(self, to):
        is_topic = to.startswith("topic")
        return self.client.get_topic_sender(to) if is_topic else self.client.get_queue_sender(to)

    def receiver(self, source, sub=None, **options):
        if sub:
            options["sub_queue"] = SUB_QUEUES[sub]
        if "/" in source:
            topic, subscription = source.split("/")
            return self.client.get_subscription_receiver(topic, subscription, **options)
        return self.client.get_queue_receiver(source, **options)

    def run(self, step):
        getattr(self, "do_" + step["do"])(step)

    def do_send(self, step):
        messages = [made(message) for message in step["messages"]]
        with self.sender(step["to"]) as to:
            if step.get("batch"):
                batch = to.create_message_batch()
                for message in messages:
                    batch.add_message(message)
                to.send_messages(batch)
            else:
                for message in messages:
                    to.send_messages(message)

    def do_large(self, step):
        with self.sender(step["to"]) as to:
            to.send_messages(ServiceBusMessage("x" * step["bytes"]))

    def do_fill(self, step):
        with self.sender(step["to"]) as to:
            batch = to.create_message_batch()
            try:
                while True:
                    batch.add_message(ServiceBusMessage("x" * step["bytes"]))
            except MessageSizeExceededError:
                to.send_messages(batch)

    def do_wait(self, step):
        time.sleep(step["ms"] / 1000)

    def do_schedule(self, step):
        at = now() + timedelta(milliseconds=step["afterMs"])
        with self.sender(step["to"]) as to:
            self.kept[step["keep"]] = to.schedule_messages(made(step["message"]), at)

    def do_cancel(self, step):
        with self.sender(step["to"]) as to:
            to.cancel_scheduled_messages(self.kept[step["kept"]])

    def do_receive(self, step):
        deletes = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        mode = {"receive_mode": deletes} if step.get("deletes") else {}
        ahead = {"prefetch_count": step["prefetch"]} if "prefetch" in step else {}
        with self.receiver(step["from"], step.get("sub"), **mode, **ahead) as of:
            self.take(of, step)

    def take(self, of, step):
        messages = []
        while len(messages) < step["count"]:
            missing = step["count"] - len(messages)
            some = of.receive_messages(max_message_count=missing, max_wait_time=PATIENCE)
            assert some, f"waited in vain for message {len(messages) + 1}"
            messages += some
        check(messages, step.get("expect", []))
        if "keep" in step:
            self.kept[step["keep"]] = [message.sequence_number for message in messages]
        if not step.get("deletes"):
            for message in messages:
                settle(of, message, step)

    def one(self, of):
        messages = of.receive_messages(1, max_wait_time=PATIENCE)
        assert messages, "waited in vain for a message"
        return messages[0]

    def do_outlast(self, step):
        with self.receiver(step["from"]) as of:
            message = self.one(of)
            time.sleep(max(0, (message.locked_until_utc - now()).total_seconds() + 1.5))
            of.complete_message(message)

    def do_renewed(self, step):
        with self.receiver(step["from"]) as of:
            message = self.one(of)
            before = message.locked_until_utc
            assert of.renew_message_lock(message) >= before
            of.complete_message(message)

    def do_deferred(self, step):
        with self.receiver(step["from"]) as of:
            self.deferred(of, step)

    def deferred(self, of, step):
        messages = of.receive_deferred_messages(self.kept[step["kept"]])
        check(messages, step.get("expect", []))
        for message in messages:
            of.complete_message(message)

    def do_peek(self, step):
        with self.receiver(step["from"], step.get("sub")) as of:
            self.peek(of, step)

    def peek(self, of, step):
        start = {"sequence_number": self.kept[step["start"]][0]} if "start" in step else {}
        messages = of.peek_messages(step["count"], **start)
        assert len(messages) == len(step["expect"]), f"{len(messages)} messages"
        check(messages, step["expect"])

    def do_empty(self, step):
        with self.receiver(step["from"], step.get("sub")) as of:
            assert of.receive_messages(1, max_wait_time=EMPTY) == []

    def do_session(self, step):
        wanted = step.get("id", NEXT_AVAILABLE_SESSION)
        with self.receiver(step["from"], session_id=wanted, max_wait_time=PATIENCE) as held:
            for each in step["steps"]:
                if "from" in each or "to" in each or each["do"] == "error":
                    self.run(each)
                else:
                    self.within(held, each)

    def within(self, held, step):
        name = step["do"]
        if name == "receive":
            self.take(held, step)
        elif name == "peek":
            self.peek(held, step)
        elif name == "deferred":
            self.deferred(held, step)
        elif name == "set":
            held.session.set_state(step["state"])
        elif name == "get":
            found = text(held.session.get_state())
            assert found == step["state"], f"state: {found!r}"
        elif name == "renew":
            assert held.session.renew_lock() > now()
        elif name == "id":
            assert held.session.session_id == step["is"], held.session.session_id
        elif name == "outlast":
            message = self.one(held) if step.get("settles") else None
            until = held.session.locked_until_utc
            time.sleep(max(0, (until - now()).total_seconds() + 1.5))
            if message:
                held.complete_message(message)
            held.session.get_state()
        else:
            raise NotImplementedError(name)

    def do_sessions(self, step):
        since = {"state_updated_after": self.kept[step["since"]]} if "since" in step else {}
        found = sorted(self.client.list_queue_sessions(step["of"], **since))
        assert found == step["expect"], found

    def do_mark(self, step):
        time.sleep(0.005)
        self.kept[step["keep"]] = now()

    def do_administer(self, step):
        connection = self.brief["administration"]
        administer(connection, step["what"], step["name"], step.get("with", {}))

    def do_error(self, step):
        try:
            self.run(step["step"])
        except Exception as fault:
            found = reason_of(fault)
            wanted = step.get("reason", found)
            assert found == wanted, f"{type(fault).__name__}: {fault}, not {wanted}"
            return
        raise AssertionError("no error")

    def do_restart(self, _):
        self.client.close()
        self.restart()
        self.client = client_of(self.brief)
