/** `GET /api/examples/report-ready`: a page that says "your report is ready", in plain HTML. */
import { registerRoute } from './route.ts';

export function registerExamplePage(): void {
  registerRoute({
    name: 'example-report-ready',
    method: 'GET',
    path: 'examples/report-ready',
    doc: {
      summary: 'An example page: a report is asked for and told of',
      answers: { 200: 'page' },
    },
    handle: async () => ({
      status: 200,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': policy,
      },
      body: page,
    }),
  });
}

// Nothing but what stands in the page, and in no frame of another.
const policy = [
  "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
].join('; ');

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Reports</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  button { font: inherit; padding: .4rem 1rem; }
  li { margin: .5rem 0; }
</style>
<h1>Reports</h1>
<p>You are <b id="who"></b>. Ask for a report, and go on with something else.</p>
<button id="ask">Make a report</button>
<ul id="told" aria-live="polite"></ul>
<script>
  // No key: what a browser has, all have who look into it. In Azure put this behind a sign-in.
  const at = (path) => '/api' + path;
  const me = localStorage.me ??= 'visitor-' + crypto.randomUUID().slice(0, 8);
  const say = (text, link) => {
    const line = document.createElement('li');
    line.append(text + ' ');
    if (link) line.append(Object.assign(document.createElement('a'), { href: at(link), textContent: 'open' }));
    document.getElementById('told').prepend(line);
  };
  document.getElementById('who').textContent = me;
  document.getElementById('ask').onclick = async () => {
    const data = 'city,price\\nDelft,10\\nGouda,7\\nDelft,30\\n';
    const input = { data, groupBy: ['city'], measures: [{ column: 'price', of: 'mean' }] };
    const response = await fetch(at('/jobs'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'report', input, requestedBy: me }),
    });
    const job = await response.json();
    say(response.ok ? 'Asked for report ' + job.id + '.' : job.detail);
  };
  // The browser comes back by itself, and says by Last-Event-ID what it has seen.
  const events = new EventSource(at('/events?requestedBy=' + encodeURIComponent(me)));
  for (const state of ['succeeded', 'failed', 'cancelled', 'expired'])
    events.addEventListener('longhaul.job.' + state, ({ data }) => {
      const { job, type } = JSON.parse(data);
      if (state === 'succeeded') say('Your ' + type + ' is ready.', '/jobs/' + job + '/result');
      else say('Your ' + type + ' ' + state + '.');
    });
</script>
</html>
`;
