import com.azure.messaging.servicebus.models.CompleteOptions;
import com.fasterxml.jackson.databind.JsonNode;

/** Sends and settlements that are done together or not at all. */
class Transactions {
  static void run(Steps steps, JsonNode step) {
    // One builder: its clients share a connection, without which there is no transaction of several.
    var client = steps.brief.client().enableCrossEntityTransactions();
    try (var from = steps.receiver(client, step)) {
      var messages = steps.received(from, step.get("settles").asInt());
      var transaction = from.createTransaction();
      for (var message : messages)
        from.complete(message, new CompleteOptions().setTransactionContext(transaction));
      for (var each : step.get("sends"))
        try (var to = steps.sender(client, each.get("to").asText())) {
          each.get("messages")
              .forEach(one -> to.sendMessage(Messages.made(one), transaction));
        }
      if (step.get("ends").asText().equals("commit")) from.commitTransaction(transaction);
      else from.rollbackTransaction(transaction);
    }
  }
}
