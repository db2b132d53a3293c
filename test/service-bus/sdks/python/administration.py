"""Entities by the Python SDK's administration client."""
from datetime import timedelta

from azure.servicebus.management import (
    CorrelationRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleAction,
    SqlRuleFilter,
)


def filter_of(rule):
    if "sql" in rule:
        return SqlRuleFilter(rule["sql"])
    correlation = rule["correlation"]
    return CorrelationRuleFilter(
        label=correlation.get("subject"),
        correlation_id=correlation.get("correlationId"),
        properties=correlation.get("properties"),
    )


def administer(connection, what, name, asked):
    with ServiceBusAdministrationClient.from_connection_string(connection) as administration:
        if what == "create queue":
            administration.create_queue(
                name,
                lock_duration=timedelta(seconds=asked["lockSeconds"]),
                max_delivery_count=asked["deliveries"],
                auto_delete_on_idle=timedelta(minutes=asked["idleMinutes"]),
            )
        elif what == "get queue":
            found = administration.get_queue(name)
            assert found.lock_duration == timedelta(seconds=asked["lockSeconds"]), found.lock_duration
            assert found.max_delivery_count == asked["deliveries"], found.max_delivery_count
            idle = found.auto_delete_on_idle
            assert idle == timedelta(minutes=asked["idleMinutes"]), idle
        elif what == "update queue":
            found = administration.get_queue(name)
            found.max_delivery_count = asked["deliveries"]
            administration.update_queue(found)
        elif what == "count queue":
            found = administration.get_queue_runtime_properties(name)
            assert found.active_message_count == asked["active"], found.active_message_count
        elif what == "list queue":
            assert name in [queue.name for queue in administration.list_queues()]
        elif what == "delete queue":
            administration.delete_queue(name)
        elif what == "create topic":
            administration.create_topic(name)
        elif what == "create subscription":
            subscription, rule = asked["subscription"], asked["rule"]
            action = SqlRuleAction(rule["action"]) if "action" in rule else None
            administration.create_subscription(name, subscription)
            administration.create_rule(
                name, subscription, rule["name"], filter=filter_of(rule), action=action
            )
            administration.delete_rule(name, subscription, "$Default")
            rules = [found.name for found in administration.list_rules(name, subscription)]
            assert rules == [rule["name"]], rules
        else:
            raise NotImplementedError(what)
