import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Drives the scenarios with the Java SDK: Driver BRIEF. TLS trusts what the JVM is told to. */
public class Driver {
  static final ObjectMapper json = new ObjectMapper();
  static final BufferedReader answers = new BufferedReader(new InputStreamReader(System.in));

  static synchronized void say(JsonNode line) {
    System.out.println(line);
  }

  static void restart() {
    say(json.createObjectNode().put("restart", true));
    try {
      answers.readLine();
    } catch (IOException fault) {
      throw new IllegalStateException(fault);
    }
  }

  static void judge(Brief brief, JsonNode scenario) {
    String why = null;
    var done = new ArrayList<String>();
    var steps = new Steps(brief, Driver::restart);
    try {
      for (var step : scenario.get("steps")) {
        steps.run(step);
        done.add(step.get("do").asText());
      }
    } catch (RuntimeException | AssertionError fault) {
      why = String.join(", ", done) + ", then: " + fault;
    }
    say(json.createObjectNode().put("name", scenario.get("name").asText()).put("why", why));
  }

  public static void main(String[] args) throws Exception {
    var given = json.readTree(new File(args[0]));
    var brief = new Brief(given);
    // Most of a scenario is waiting.
    var pool = Executors.newFixedThreadPool(8);
    var all = new ArrayList<Future<?>>();
    for (var scenario : given.get("sideBySide"))
      all.add(pool.submit(() -> judge(brief, scenario)));
    for (var each : all) each.get();
    for (var scenario : given.get("alone")) judge(brief, scenario);
    System.exit(0);
  }
}
