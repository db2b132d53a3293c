"""Sends a job from Python and waits for its reply, with Microsoft's own SDK and nothing of Longhaul.

    pip install azure-servicebus
    python send.py CONNECTION_STRING
"""
import json
import sys
import uuid

from azure.servicebus import ServiceBusClient, ServiceBusMessage

# The reply comes to this session: nobody else reads it.
session = f"python-{uuid.uuid4()}"
job = {
    "data": "city,price\nDelft,10\nGouda,7\nDelft,30\n",
    "groupBy": ["city"],
    "measures": [{"column": "price", "of": "mean"}],
}
message = ServiceBusMessage(
    json.dumps(job),
    content_type="application/json",
    application_properties={"type": "report"},
    reply_to="replies-keyed",
    reply_to_session_id=session,
    correlation_id="prices",
)

with ServiceBusClient.from_connection_string(sys.argv[1]) as bus:
    with bus.get_queue_sender("standard") as sender:
        sender.send_messages(message)
    with bus.get_queue_receiver("replies-keyed", session_id=session) as receiver:
        for reply in receiver.receive_messages(max_message_count=1, max_wait_time=30):
            # A CloudEvents event, as a callback has it.
            event = json.loads(str(reply))
            print(reply.correlation_id, event["type"], json.dumps(event["data"]["result"]["head"]))
            receiver.complete_message(reply)
