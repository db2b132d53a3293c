/** The Functions host as a process of the stack. */
import { parseArgs } from 'node:util';
import { endWithParent, reportFailed, reportReady } from 'longhaul-service-bus/internal/child';
import { readLocalSettings } from './app-settings.ts';
import { startHost } from './host.ts';

const { values } = parseArgs({
  options: {
    root: { type: 'string', default: process.cwd() },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '7071' },
    main: { type: 'string' },
  },
});

endWithParent();
// The SDK leaves rejections behind when the bus is silent for long; they concern no call of ours.
process.on('unhandledRejection', (reason) =>
  process.stderr.write(`warning: the host left a rejection behind: ${String(reason)}\n`),
);
// What `process.env` holds is what a function app reads its settings from.
Object.assign(process.env, readLocalSettings(values.root, process.env));
try {
  let worker = 0;
  const host = await startHost({
    root: values.root,
    host: values.host,
    port: Number(values.port),
    settings: process.env,
    ...(values.main ? { main: values.main } : {}),
    onWorker(pid) {
      worker = pid;
      process.send?.({ worker: pid });
    },
  });
  process.on('message', (message: { reload?: true }) => {
    if (!message.reload) return;
    host.reload().then(
      () => process.send?.({ reloaded: true }),
      (error: Error) => process.send?.({ reloaded: false, why: error.message }),
    );
  });
  process.on('SIGTERM', () => void host.stop().then(() => process.exit(0)));
  reportReady({ port: host.port, functions: host.functions, worker });
} catch (error) {
  reportFailed(error);
}
