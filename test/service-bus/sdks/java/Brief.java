import com.azure.core.amqp.AmqpRetryOptions;
import com.azure.core.amqp.AmqpTransportType;
import com.azure.messaging.servicebus.ServiceBusClientBuilder;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;

/** How the broker is reached. */
class Brief {
  final String connection;
  final String host;
  final int port;
  final boolean isOverWebSockets;

  Brief(JsonNode given) {
    connection = given.get("connection").asText();
    host = given.get("host").asText();
    port = given.get("port").asInt();
    isOverWebSockets = given.get("way").asText().equals("websockets");
  }

  ServiceBusClientBuilder client() {
    var retry = new AmqpRetryOptions().setMaxRetries(0).setTryTimeout(Duration.ofSeconds(15));
    var builder = new ServiceBusClientBuilder().connectionString(connection).retryOptions(retry);
    if (isOverWebSockets)
      builder.transportType(AmqpTransportType.AMQP_WEB_SOCKETS)
          .customEndpointAddress("https://" + host + ":" + port);
    return builder;
  }
}
