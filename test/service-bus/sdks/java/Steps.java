import com.azure.core.amqp.exception.AmqpException;
import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.azure.messaging.servicebus.ServiceBusException;
import com.azure.messaging.servicebus.ServiceBusMessage;
import com.azure.messaging.servicebus.ServiceBusReceivedMessage;
import com.azure.messaging.servicebus.ServiceBusReceiverClient;
import com.azure.messaging.servicebus.ServiceBusSenderClient;
import com.azure.messaging.servicebus.models.AbandonOptions;
import com.azure.messaging.servicebus.models.DeadLetterOptions;
import com.azure.messaging.servicebus.models.DeferOptions;
import com.azure.messaging.servicebus.models.ServiceBusReceiveMode;
import com.azure.messaging.servicebus.models.SubQueue;
import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The steps of a scenario with the Java SDK. */
class Steps {
  static final Duration patience = Duration.ofSeconds(10);
  // Long enough for what is there to come, on a machine that is busy.
  static final Duration emptiness = Duration.ofMillis(500);

  final Brief brief;
  final Runnable restart;
  final Map<String, List<Long>> kept = new HashMap<>();

  Steps(Brief brief, Runnable restart) {
    this.brief = brief;
    this.restart = restart;
  }

  ServiceBusSenderClient sender(ServiceBusClientBuilder client, String to) {
    var builder = client.sender();
    return (to.startsWith("topic") ? builder.topicName(to) : builder.queueName(to)).buildClient();
  }

  ServiceBusReceiverClient receiver(ServiceBusClientBuilder client, JsonNode step) {
    var builder =
        client.receiver().disableAutoComplete().maxAutoLockRenewDuration(Duration.ZERO);
    if (step.has("prefetch")) builder.prefetchCount(step.get("prefetch").asInt());
    if (step.has("deletes")) builder.receiveMode(ServiceBusReceiveMode.RECEIVE_AND_DELETE);
    if (step.has("sub"))
      builder.subQueue(step.get("sub").asText().equals("dead")
          ? SubQueue.DEAD_LETTER_QUEUE
          : SubQueue.TRANSFER_DEAD_LETTER_QUEUE);
    String[] parts = step.get("from").asText().split("/");
    if (parts.length == 2) builder.topicName(parts[0]).subscriptionName(parts[1]);
    else builder.queueName(parts[0]);
    return builder.buildClient();
  }

  void run(JsonNode step) {
    switch (step.get("do").asText()) {
      case "send", "large", "fill", "schedule", "cancel" -> {
        try (var to = sender(brief.client(), step.get("to").asText())) {
          send(to, step);
        }
      }
      case "session" -> session(step);
      case "wait" -> sleep(step.get("ms").asLong());
      case "rules" -> Rules.run(brief, step);
      case "transaction" -> Transactions.run(this, step);
      case "administer" -> Administration.run(brief, step);
      case "error" -> error(step);
      case "restart" -> restart.run();
      default -> {
        try (var from = receiver(brief.client(), step)) {
          look(from, step);
        }
      }
    }
  }

  void send(ServiceBusSenderClient to, JsonNode step) {
    switch (step.get("do").asText()) {
      case "send" -> {
        if (step.has("batch")) {
          var batch = to.createMessageBatch();
          step.get("messages").forEach(each -> batch.tryAddMessage(Messages.made(each)));
          to.sendMessages(batch);
        } else step.get("messages").forEach(each -> to.sendMessage(Messages.made(each)));
      }
      case "large" -> to.sendMessage(new ServiceBusMessage("x".repeat(step.get("bytes").asInt())));
      case "fill" -> {
        var batch = to.createMessageBatch();
        var body = "x".repeat(step.get("bytes").asInt());
        while (batch.tryAddMessage(new ServiceBusMessage(body)));
        to.sendMessages(batch);
      }
      case "schedule" -> {
        var at = OffsetDateTime.now().plus(Duration.ofMillis(step.get("afterMs").asLong()));
        var number = to.scheduleMessage(Messages.made(step.get("message")), at);
        kept.put(step.get("keep").asText(), List.of(number));
      }
      default -> to.cancelScheduledMessages(kept.get(step.get("kept").asText()));
    }
  }

  List<ServiceBusReceivedMessage> received(ServiceBusReceiverClient of, int count) {
    var messages = new ArrayList<ServiceBusReceivedMessage>();
    while (messages.size() < count) {
      int before = messages.size();
      of.receiveMessages(count - before, patience).forEach(messages::add);
      if (messages.size() == before)
        throw new IllegalStateException("waited in vain for message " + (before + 1));
    }
    return messages;
  }

  void take(ServiceBusReceiverClient of, JsonNode step) {
    var messages = received(of, step.get("count").asInt());
    Messages.check(messages, step.path("expect"));
    if (step.has("keep"))
      kept.put(step.get("keep").asText(),
          messages.stream().map(ServiceBusReceivedMessage::getSequenceNumber).toList());
    if (!step.has("deletes")) for (var message : messages) settle(of, message, step);
  }

  void settle(ServiceBusReceiverClient of, ServiceBusReceivedMessage message, JsonNode step) {
    var changes = Messages.properties(step.path("changes"));
    switch (step.path("settle").asText()) {
      case "abandon" -> of.abandon(message, new AbandonOptions().setPropertiesToModify(changes));
      case "defer" -> of.defer(message, new DeferOptions().setPropertiesToModify(changes));
      case "dead" -> of.deadLetter(message, new DeadLetterOptions()
          .setDeadLetterReason("because").setDeadLetterErrorDescription("of this"));
      default -> of.complete(message);
    }
  }

  static void pass(OffsetDateTime until) {
    sleep(Math.max(0, Duration.between(OffsetDateTime.now(), until).toMillis() + 1500));
  }

  static void sleep(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException fault) {
      throw new IllegalStateException(fault);
    }
  }

  /** What is done with a receiver, of a session or not. */
  void look(ServiceBusReceiverClient from, JsonNode step) {
    switch (step.get("do").asText()) {
      case "receive" -> take(from, step);
      case "deferred" -> {
        var messages = new ArrayList<ServiceBusReceivedMessage>();
        from.receiveDeferredMessageBatch(kept.get(step.get("kept").asText()))
            .forEach(messages::add);
        Messages.check(messages, step.path("expect"));
        messages.forEach(from::complete);
      }
      case "peek" -> {
        var messages = new ArrayList<ServiceBusReceivedMessage>();
        int count = step.get("count").asInt();
        var some = step.has("start")
            ? from.peekMessages(count, kept.get(step.get("start").asText()).get(0))
            : from.peekMessages(count);
        some.forEach(messages::add);
        Messages.same("messages", messages.size(), step.get("expect").size());
        Messages.check(messages, step.get("expect"));
      }
      case "renewed" -> {
        var message = received(from, 1).get(0);
        if (from.renewMessageLock(message).isBefore(OffsetDateTime.now()))
          throw new IllegalStateException("the lock is over");
        from.complete(message);
      }
      case "outlast" -> {
        var message = received(from, 1).get(0);
        pass(message.getLockedUntil());
        from.complete(message);
      }
      case "empty" -> {
        if (from.receiveMessages(1, emptiness).iterator().hasNext())
          throw new IllegalStateException("it is not empty");
      }
      default -> throw new IllegalStateException(step.toString());
    }
  }

  void session(JsonNode step) {
    var builder = brief.client().sessionReceiver().queueName(step.get("from").asText());
    builder.disableAutoComplete().maxAutoLockRenewDuration(Duration.ZERO);
    try (var sessions = builder.buildClient();
        var held = step.has("id")
            ? sessions.acceptSession(step.get("id").asText())
            : sessions.acceptNextSession()) {
      for (var each : step.get("steps")) {
        boolean isOuter = each.has("from") || each.has("to") || each.has("step");
        if (isOuter) run(each);
        else within(held, each);
      }
    }
  }

  void within(ServiceBusReceiverClient of, JsonNode step) {
    switch (step.get("do").asText()) {
      case "set" -> {
        JsonNode state = step.get("state");
        of.setSessionState(
            state.isNull() ? null : state.asText().getBytes(StandardCharsets.UTF_8));
      }
      case "get" -> {
        byte[] state = of.getSessionState();
        boolean isNone = state == null || state.length == 0;
        Messages.same("state", isNone ? null : new String(state, StandardCharsets.UTF_8),
            Messages.plain(step.get("state")));
      }
      case "renew" -> {
        if (of.renewSessionLock().isBefore(OffsetDateTime.now()))
          throw new IllegalStateException("the lock is over");
      }
      case "id" -> Messages.same("id", of.getSessionId(), step.get("is").asText());
      case "outlast" -> {
        var message = step.has("settles") ? received(of, 1).get(0) : null;
        pass(of.renewSessionLock());
        if (message != null) of.complete(message);
        of.getSessionState();
      }
      default -> look(of, step);
    }
  }

  /** As the list has it, but for capitals; some calls wrap the error, some do not translate it. */
  static String reason(Throwable fault) {
    for (var cause = fault; cause != null; cause = cause.getCause()) {
      if (cause instanceof ServiceBusException of)
        return of.getReason().toString().replace("_", "");
      if (cause instanceof AmqpException of && of.getErrorCondition() != null)
        return switch (of.getErrorCondition()) {
          case SESSION_CANNOT_BE_LOCKED -> "SessionCannotBeLocked";
          case ENTITY_DISABLED_ERROR -> "MessagingEntityDisabled";
          case NOT_FOUND -> "MessagingEntityNotFound";
          default -> of.getErrorCondition().name();
        };
    }
    return "none";
  }

  void error(JsonNode step) {
    try {
      run(step.get("step"));
    } catch (RuntimeException fault) {
      if (!step.has("reason")) return;
      var wanted = step.get("reason").asText();
      var found = reason(fault);
      if (!found.equalsIgnoreCase(wanted))
        throw new IllegalStateException(found + " of " + fault + ", not " + wanted);
      return;
    }
    throw new IllegalStateException("no error");
  }
}
