"""Messages as the list writes them, and as the Python SDK does."""
from datetime import timedelta

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageProperties


def made(of):
    if "value" in of or "sequence" in of:
        body = {"value_body": of["value"]} if "value" in of else {"sequence_body": of["sequence"]}
        properties = AmqpMessageProperties(message_id=of.get("id"), group_id=of.get("session"))
        return AmqpAnnotatedMessage(properties=properties, **body)
    return ServiceBusMessage(
        of.get("body", ""),
        message_id=of.get("id"),
        session_id=of.get("session"),
        subject=of.get("subject"),
        correlation_id=of.get("correlationId"),
        application_properties=of.get("properties"),
        time_to_live=timedelta(milliseconds=of["ttlMs"]) if "ttlMs" in of else None,
    )


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def body_of(message, kind):
    if message.body_type != kind:
        return None
    if kind == AmqpMessageBodyType.SEQUENCE:
        return [text(one) for section in message.body for one in section]
    if kind == AmqpMessageBodyType.VALUE:
        return text(message.body)
    return str(message)


def check(messages, expected):
    assert len(messages) >= len(expected), f"{len(messages)} messages, not {len(expected)}"
    for message, wanted in zip(messages, expected):
        properties = {text(k): text(v) for k, v in (message.application_properties or {}).items()}
        found = {
            "body": body_of(message, AmqpMessageBodyType.DATA),
            "value": body_of(message, AmqpMessageBodyType.VALUE),
            "sequence": body_of(message, AmqpMessageBodyType.SEQUENCE),
            "id": message.message_id,
            "session": message.session_id,
            "subject": message.subject,
            "correlationId": message.correlation_id,
            "deliveries": message.delivery_count,
            "reason": message.dead_letter_reason,
            "description": message.dead_letter_error_description,
        }
        for name, value in wanted.items():
            if name == "properties":
                for key, one in value.items():
                    assert properties.get(key) == one, f"{key}: {properties.get(key)!r}, not {one!r}"
            else:
                assert found[name] == value, f"{name}: {found[name]!r}, not {value!r}"
