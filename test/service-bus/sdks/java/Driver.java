import com.azure.core.util.BinaryData;
import com.azure.messaging.servicebus.*;
import com.azure.messaging.servicebus.models.*;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.io.File;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Drives the scenarios with the Java SDK: Driver SCENARIOS CONNECTION. TLS trusts what the JVM is told to. */
public class Driver {
  static final ObjectMapper json = new ObjectMapper();
  static final Map<String, List<Long>> kept = new HashMap<>();
  static final Duration wait = Duration.ofSeconds(5);
  static String connection;

  static ServiceBusClientBuilder client() {
    var retry = new com.azure.core.amqp.AmqpRetryOptions();
    retry.setMaxRetries(0).setTryTimeout(Duration.ofSeconds(10));
    return new ServiceBusClientBuilder().connectionString(connection).retryOptions(retry);
  }

  static ServiceBusSenderClient sender(String to) {
    var builder = client().sender();
    boolean isTopic = to.equals("topic") || to.equals("timed");
    return (isTopic ? builder.topicName(to) : builder.queueName(to)).buildClient();
  }

  static ServiceBusReceiverClient receiver(String from, boolean deletes, boolean dead) {
    var builder = client().receiver().disableAutoComplete().maxAutoLockRenewDuration(Duration.ZERO);
    if (deletes) builder.receiveMode(ServiceBusReceiveMode.RECEIVE_AND_DELETE);
    if (dead) builder.subQueue(SubQueue.DEAD_LETTER_QUEUE);
    String[] parts = from.split("/");
    if (parts.length == 2) builder.topicName(parts[0]).subscriptionName(parts[1]);
    else builder.queueName(from);
    return builder.buildClient();
  }

  static ServiceBusMessage made(JsonNode of) {
    var message = new ServiceBusMessage(BinaryData.fromString(of.get("body").asText()));
    if (of.has("id")) message.setMessageId(of.get("id").asText());
    if (of.has("session")) message.setSessionId(of.get("session").asText());
    if (of.has("subject")) message.setSubject(of.get("subject").asText());
    if (of.has("ttlMs")) message.setTimeToLive(Duration.ofMillis(of.get("ttlMs").asLong()));
    if (of.has("properties"))
      of.get("properties").fields().forEachRemaining(each -> message.getApplicationProperties()
          .put(each.getKey(), json.convertValue(each.getValue(), Object.class)));
    return message;
  }

  static void same(String name, Object found, Object wanted) {
    if (!String.valueOf(found).equals(String.valueOf(wanted)))
      throw new IllegalStateException(name + ": " + found + ", not " + wanted);
  }

  static void check(List<ServiceBusReceivedMessage> messages, JsonNode expected) {
    for (int n = 0; expected != null && n < expected.size(); n++) {
      var message = messages.get(n);
      expected.get(n).fields().forEachRemaining(each -> {
        String wanted = each.getValue().asText();
        switch (each.getKey()) {
          case "body" -> same("body", message.getBody().toString(), wanted);
          case "id" -> same("id", message.getMessageId(), wanted);
          case "subject" -> same("subject", message.getSubject(), wanted);
          case "deliveries" -> same("deliveries", message.getDeliveryCount(), wanted);
          case "reason" -> same("reason", message.getDeadLetterReason(), wanted);
          case "description" ->
            same("description", message.getDeadLetterErrorDescription(), wanted);
          case "properties" -> each.getValue().fields().forEachRemaining(property ->
            same(property.getKey(), message.getApplicationProperties().get(property.getKey()),
                property.getValue().asText()));
          default -> throw new IllegalStateException(each.getKey());
        }
      });
    }
  }

  static void settle(ServiceBusReceiverClient of, ServiceBusReceivedMessage message, String how) {
    switch (how) {
      case "abandon" -> of.abandon(message);
      case "defer" -> of.defer(message);
      case "dead" -> of.deadLetter(message, new DeadLetterOptions()
          .setDeadLetterReason("because").setDeadLetterErrorDescription("of this"));
      default -> of.complete(message);
    }
  }

  static void take(ServiceBusReceiverClient of, int count, JsonNode options) {
    var messages = new ArrayList<ServiceBusReceivedMessage>();
    while (messages.size() < count) {
      int before = messages.size();
      of.receiveMessages(count - before, wait).forEach(messages::add);
      if (messages.size() == before)
        throw new IllegalStateException("waited in vain for message " + (before + 1));
    }
    check(messages, options.get("expect"));
    if (options.has("keep"))
      kept.put(options.get("keep").asText(),
          messages.stream().map(ServiceBusReceivedMessage::getSequenceNumber).toList());
    if (!options.has("mode"))
      for (var message : messages) settle(of, message, options.path("settle").asText("complete"));
  }

  static void inSession(ServiceBusReceiverClient of, JsonNode steps) {
    for (var step : steps) {
      JsonNode rest = step.get(1);
      switch (step.get(0).asText()) {
        case "receive" -> take(of, rest.asInt(), step.get(2));
        case "set" -> of.setSessionState(
            rest.isNull() ? null : rest.asText().getBytes(StandardCharsets.UTF_8));
        case "get" -> {
          byte[] state = of.getSessionState();
          boolean isNone = state == null || state.length == 0;
          same("state", isNone ? "null" : new String(state, StandardCharsets.UTF_8), rest.asText());
        }
        case "renew" -> {
          if (of.renewSessionLock().isBefore(OffsetDateTime.now()))
            throw new IllegalStateException("the lock is over");
        }
        case "id" -> same("id", of.getSessionId(), rest.asText());
        default -> throw new IllegalStateException(step.get(0).asText());
      }
    }
  }

  static void withSession(String queue, JsonNode id, JsonNode steps) {
    try (var sessions = client().sessionReceiver().queueName(queue).disableAutoComplete()
            .maxAutoLockRenewDuration(Duration.ZERO).buildClient();
        var held = id.isNull() ? sessions.acceptNextSession() : sessions.acceptSession(id.asText())) {
      inSession(held, steps);
    }
  }

  static void run(JsonNode step) {
    String name = step.get(0).asText();
    String of = step.get(1).asText();
    switch (name) {
      case "send", "batch", "large", "schedule", "cancel" -> {
        try (var to = sender(of)) {
          send(to, name, step);
        }
      }
      case "receive" -> {
        JsonNode options = step.get(3);
        try (var from = receiver(of, options.has("mode"), options.path("dead").asBoolean())) {
          take(from, step.get(2).asInt(), options);
        }
      }
      case "session" -> withSession(of, step.get(2), step.get(3));
      case "error" -> {
        try {
          run(step.get(1));
        } catch (RuntimeException expected) {
          return;
        }
        throw new IllegalStateException("no error");
      }
      default -> {
        try (var from = receiver(of, false, false)) {
          look(from, name, step);
        }
      }
    }
  }

  static void send(ServiceBusSenderClient to, String name, JsonNode step) {
    switch (name) {
      case "send" -> step.get(2).forEach(each -> to.sendMessage(made(each)));
      case "batch" -> {
        var batch = to.createMessageBatch();
        step.get(2).forEach(each -> batch.tryAddMessage(made(each)));
        to.sendMessages(batch);
      }
      case "large" -> to.sendMessage(new ServiceBusMessage("x".repeat(step.get(2).asInt())));
      case "schedule" -> {
        var at = OffsetDateTime.now().plus(Duration.ofMillis(step.get(3).asLong()));
        kept.put(step.get(4).asText(), List.of(to.scheduleMessage(made(step.get(2)), at)));
      }
      default -> to.cancelScheduledMessages(kept.get(step.get(2).asText()));
    }
  }

  static void look(ServiceBusReceiverClient from, String name, JsonNode step) {
    switch (name) {
      case "deferred" -> {
        var messages = new ArrayList<ServiceBusReceivedMessage>();
        from.receiveDeferredMessageBatch(kept.get(step.get(2).asText())).forEach(messages::add);
        check(messages, step.get(3).get("expect"));
        messages.forEach(from::complete);
      }
      case "peek" -> {
        var messages = new ArrayList<ServiceBusReceivedMessage>();
        from.peekMessages(step.get(2).asInt()).forEach(messages::add);
        same("messages", messages.size(), step.get(3).size());
        check(messages, step.get(3));
      }
      case "renewed" -> from.receiveMessages(1, wait).forEach(message -> {
        if (from.renewMessageLock(message).isBefore(OffsetDateTime.now()))
          throw new IllegalStateException("the lock is over");
        from.complete(message);
      });
      case "empty" -> {
        if (from.receiveMessages(1, Duration.ofMillis(500)).iterator().hasNext())
          throw new IllegalStateException("it is not empty");
      }
      default -> throw new IllegalStateException(name);
    }
  }

  public static void main(String[] args) throws Exception {
    connection = args[1];
    for (var scenario : json.readTree(new File(args[0])).get("scenarios")) {
      String why = null;
      try {
        scenario.get("steps").forEach(Driver::run);
      } catch (RuntimeException fault) {
        why = String.valueOf(fault.getMessage());
      }
      var verdict = json.createObjectNode();
      verdict.put("name", scenario.get("name").asText()).put("why", why);
      System.out.println(verdict);
    }
    System.exit(0);
  }
}
