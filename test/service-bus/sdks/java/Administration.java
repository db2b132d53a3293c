import com.azure.core.http.HttpPipelineCallContext;
import com.azure.core.http.HttpPipelineNextPolicy;
import com.azure.core.http.HttpResponse;
import com.azure.core.http.policy.HttpPipelinePolicy;
import com.azure.core.util.UrlBuilder;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClient;
import com.azure.messaging.servicebus.administration.ServiceBusAdministrationClientBuilder;
import com.azure.messaging.servicebus.administration.models.CreateQueueOptions;
import com.fasterxml.jackson.databind.JsonNode;
import java.net.MalformedURLException;
import java.time.Duration;
import reactor.core.publisher.Mono;

/** Entities by the administration, over TLS. */
class Administration {
  /** The client takes a host and no port: this adds it. */
  record AtPort(int port) implements HttpPipelinePolicy {
    @Override
    public Mono<HttpResponse> process(HttpPipelineCallContext call, HttpPipelineNextPolicy next) {
      try {
        var request = call.getHttpRequest();
        request.setUrl(UrlBuilder.parse(request.getUrl()).setPort(port).toUrl());
      } catch (MalformedURLException fault) {
        return Mono.error(fault);
      }
      return next.process();
    }
  }

  static ServiceBusAdministrationClient client(Brief brief) {
    return new ServiceBusAdministrationClientBuilder().connectionString(brief.connection)
        .addPolicy(new AtPort(brief.port)).buildClient();
  }

  static void run(Brief brief, JsonNode step) {
    var client = client(brief);
    var name = step.get("name").asText();
    var asked = step.path("with");
    int deliveries = asked.path("deliveries").asInt();
    var lock = Duration.ofSeconds(asked.path("lockSeconds").asInt());
    var idle = Duration.ofMinutes(asked.path("idleMinutes").asInt());
    switch (step.get("what").asText()) {
      case "create queue" -> client.createQueue(name,
          new CreateQueueOptions().setLockDuration(lock).setMaxDeliveryCount(deliveries)
              .setAutoDeleteOnIdle(idle));
      case "get queue" -> {
        var found = client.getQueue(name);
        Messages.same("lock", found.getLockDuration(), lock);
        Messages.same("idle", found.getAutoDeleteOnIdle(), idle);
        Messages.same("deliveries", found.getMaxDeliveryCount(), deliveries);
      }
      case "update queue" ->
        client.updateQueue(client.getQueue(name).setMaxDeliveryCount(deliveries));
      case "count queue" -> Messages.same("active",
          client.getQueueRuntimeProperties(name).getActiveMessageCount(),
          asked.get("active").asInt());
      case "list queue" -> {
        if (client.listQueues().stream().noneMatch(queue -> queue.getName().equals(name)))
          throw new IllegalStateException("it is not listed");
      }
      case "delete queue" -> client.deleteQueue(name);
      case "create topic" -> client.createTopic(name);
      case "create subscription" -> {
        var subscription = asked.get("subscription").asText();
        var rule = asked.get("rule");
        client.createSubscription(name, subscription);
        client.createRule(name, rule.get("name").asText(), subscription, Rules.made(rule));
        client.deleteRule(name, subscription, "$Default");
        var rules = client.listRules(name, subscription).stream().map(one -> one.getName());
        Messages.same("rules", rules.toList(), java.util.List.of(rule.get("name").asText()));
      }
      default -> throw new IllegalStateException(step.toString());
    }
  }
}
