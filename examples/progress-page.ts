/**
 * Progress in a page, as it comes: the job says how far it is, the page reads server-sent events. The
 * browser comes back by itself when the connection breaks, and the job goes on where it was when its
 * worker dies. The page is an HTTP function of the app, beside Longhaul's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { app } from '@azure/functions';
import { defineJob } from 'longhaul';
import { z } from 'zod';

export const render = defineJob({
  type: 'render',
  input: z.object({ frames: z.int().min(1).max(10_000), msPerFrame: z.int().min(0).default(50) }),
  timeout: '10m',
  async run({ frames, msPerFrame }, job) {
    return job.checkpoint('frames', { at: 0 }, async ({ at }, save) => {
      for (let frame = at + 1; frame <= frames; frame++) {
        await pause(msPerFrame, undefined, { signal: job.signal });
        await save({ at: frame });
        await job.progress({ done: frame, of: frames, note: `frame ${frame}` });
      }
      return { frames };
    });
  },
});

export function registerProgressPage(): void {
  app.http('progress-page', {
    methods: ['GET'],
    route: 'examples/progress',
    handler: () => ({ body: page, headers: { 'content-type': 'text/html; charset=utf-8' } }),
  });
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Progress</title>
<p><button>Render</button> <progress hidden></progress> <output></output></p>
<script type="module">
  const [button, bar, text] = document.querySelectorAll('button, progress, output');
  button.onclick = async () => {
    const response = await fetch('/api/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'render', input: { frames: 200 } }),
    });
    const { id } = await response.json();
    bar.hidden = false;
    const events = new EventSource('/api/jobs/' + id + '/events');
    events.addEventListener('progress', ({ data }) => {
      const { done, of, note } = JSON.parse(data).progress;
      Object.assign(bar, { value: done, max: of });
      text.value = note;
    });
    events.addEventListener('state', ({ data }) => { text.value = JSON.parse(data).state; });
  };
</script>
</html>
`;
