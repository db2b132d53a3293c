import com.azure.messaging.servicebus.administration.models.CorrelationRuleFilter;
import com.azure.messaging.servicebus.administration.models.CreateRuleOptions;
import com.azure.messaging.servicebus.administration.models.SqlRuleAction;
import com.azure.messaging.servicebus.administration.models.SqlRuleFilter;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;

/** Rules of a subscription, by the SDK's rule manager. */
class Rules {
  static CreateRuleOptions made(JsonNode rule) {
    var options = new CreateRuleOptions();
    if (rule.has("action")) options.setAction(new SqlRuleAction(rule.get("action").asText()));
    if (rule.has("sql")) return options.setFilter(new SqlRuleFilter(rule.get("sql").asText()));
    var given = rule.get("correlation");
    var filter = new CorrelationRuleFilter();
    if (given.has("subject")) filter.setLabel(given.get("subject").asText());
    if (given.has("correlationId")) filter.setCorrelationId(given.get("correlationId").asText());
    filter.getProperties().putAll(Messages.properties(given.path("properties")));
    return options.setFilter(filter);
  }

  static void run(Brief brief, JsonNode step) {
    String[] of = step.get("of").asText().split("/");
    var builder = brief.client().ruleManager().topicName(of[0]).subscriptionName(of[1]);
    try (var rules = builder.buildClient()) {
      if (step.has("add"))
        rules.createRule(step.get("add").get("name").asText(), made(step.get("add")));
      if (step.has("remove")) rules.deleteRule(step.get("remove").asText());
      if (!step.has("expect")) return;
      var names = new ArrayList<String>();
      rules.listRules().forEach(rule -> names.add(rule.getName()));
      names.sort(null);
      Messages.same("rules", names, Messages.plain(step.get("expect")));
    }
  }
}
