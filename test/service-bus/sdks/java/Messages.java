import com.azure.core.amqp.models.AmqpMessageBody;
import com.azure.core.amqp.models.AmqpMessageBodyType;
import com.azure.core.util.BinaryData;
import com.azure.messaging.servicebus.ServiceBusMessage;
import com.azure.messaging.servicebus.ServiceBusReceivedMessage;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Messages as the list writes them, and as the Java SDK does. */
class Messages {
  static Object plain(JsonNode value) {
    return Driver.json.convertValue(value, Object.class);
  }

  static Map<String, Object> properties(JsonNode of) {
    var all = new HashMap<String, Object>();
    of.fields().forEachRemaining(each -> all.put(each.getKey(), plain(each.getValue())));
    return all;
  }

  static ServiceBusMessage made(JsonNode of) {
    var message = new ServiceBusMessage(body(of));
    if (of.has("id")) message.setMessageId(of.get("id").asText());
    if (of.has("session")) message.setSessionId(of.get("session").asText());
    if (of.has("subject")) message.setSubject(of.get("subject").asText());
    if (of.has("correlationId")) message.setCorrelationId(of.get("correlationId").asText());
    if (of.has("ttlMs")) message.setTimeToLive(Duration.ofMillis(of.get("ttlMs").asLong()));
    if (of.has("properties"))
      message.getApplicationProperties().putAll(properties(of.get("properties")));
    return message;
  }

  static AmqpMessageBody body(JsonNode of) {
    if (of.has("value")) return AmqpMessageBody.fromValue(plain(of.get("value")));
    if (of.has("sequence")) {
      var items = new ArrayList<Object>();
      of.get("sequence").forEach(each -> items.add(plain(each)));
      return AmqpMessageBody.fromSequence(items);
    }
    return AmqpMessageBody.fromData(BinaryData.fromString(of.path("body").asText("")).toBytes());
  }

  static Object found(ServiceBusReceivedMessage message, String name) {
    var body = message.getRawAmqpMessage().getBody();
    return switch (name) {
      case "body" -> message.getBody().toString();
      case "value" -> body.getBodyType() == AmqpMessageBodyType.VALUE ? body.getValue() : null;
      case "sequence" ->
        body.getBodyType() == AmqpMessageBodyType.SEQUENCE ? body.getSequence() : null;
      case "id" -> message.getMessageId();
      case "session" -> message.getSessionId();
      case "subject" -> message.getSubject();
      case "correlationId" -> message.getCorrelationId();
      case "deliveries" -> message.getDeliveryCount();
      case "reason" -> message.getDeadLetterReason();
      case "description" -> message.getDeadLetterErrorDescription();
      default -> throw new IllegalStateException(name);
    };
  }

  static void same(String name, Object found, Object wanted) {
    boolean isNumber = found instanceof Number && wanted instanceof Number;
    boolean is = isNumber
        ? ((Number) found).doubleValue() == ((Number) wanted).doubleValue()
        : found == null ? wanted == null : found.equals(wanted);
    if (!is) throw new IllegalStateException(name + ": " + found + ", not " + wanted);
  }

  static void check(List<ServiceBusReceivedMessage> messages, JsonNode expected) {
    if (expected.size() > messages.size())
      throw new IllegalStateException(messages.size() + " messages, not " + expected.size());
    for (int n = 0; n < expected.size(); n++) {
      var message = messages.get(n);
      expected.get(n).fields().forEachRemaining(each -> {
        if (!each.getKey().equals("properties"))
          same(each.getKey(), found(message, each.getKey()), plain(each.getValue()));
        else
          properties(each.getValue()).forEach((key, wanted) ->
              same(key, message.getApplicationProperties().get(key), wanted));
      });
    }
  }
}
