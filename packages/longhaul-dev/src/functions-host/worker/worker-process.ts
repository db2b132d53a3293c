/** The worker: loads the compiled app as Azure's Node worker does, and runs its functions for the host. */
import { format, parseArgs } from 'node:util';
import { endWithParent, reportFailed, reportReady } from 'longhaul-service-bus/internal/child';
import type { Log } from '../log.ts';
import type { FromWorker, LoadedApp, ToWorker } from '../worker-channel.ts';
import { Registry, supplyCoreModule } from './core-module.ts';
import { findEntryPoints, loadEntryPoint } from './entry-points.ts';
import { createInvoke } from './invoke.ts';
import { startStreamServer } from './stream-server.ts';

// The other arguments tell the Service Bus extension where messages are settled.
const { values } = parseArgs({
  strict: false,
  options: { root: { type: 'string' }, main: { type: 'string' } },
});

// A handler may block the process for ever.
endWithParent({ evenBlocked: true });
// A host that is gone hears nothing more, and this process ends with it.
const tell = (message: FromWorker) =>
  void process.send?.(message, undefined, undefined, () => undefined);
const log: Log = (level, message, about) => tell({ kind: 'log', level, message, ...about });
const registry = new Registry();
const invoke = createInvoke(registry, log);
logConsole();
supplyCoreModule(registry, log);
process.on('message', (message: ToWorker) => {
  if (message.kind === 'terminate') void terminate();
  else void run(message);
});
try {
  reportReady(await load(String(values.root), values.main as string | undefined));
} catch (error) {
  reportFailed(error);
}

async function load(root: string, given: string | undefined): Promise<LoadedApp> {
  const files = await findEntryPoints(root, given);
  for (const file of files) await loadEntryPoint(root, file);
  if (!registry.model)
    throw new Error(
      `${files.join(', ')} registered nothing with @azure/functions: are there two copies of it?`,
    );
  await registry.runHooks('appStart', { hookData: {}, appHookData: {} });
  return {
    functions: registry.functions.map(({ metadata }) => metadata),
    streams: await startStreamServer(registry.model),
  };
}

async function run({ id, name, request }: ToWorker & { kind: 'invoke' }): Promise<void> {
  try {
    const target = registry.functions.find(({ metadata }) => metadata.name === name);
    if (!target) throw new Error(`There is no function ${name}.`);
    await invoke(target, request, id);
    tell({ kind: 'ended', id });
  } catch (error) {
    const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
    tell({ kind: 'ended', id, error: { message, stack } });
  }
}

/** WorkerTerminate: the hooks, then the end, whatever still runs. */
async function terminate(): Promise<void> {
  try {
    await registry.runHooks('appTerminate', { hookData: {}, appHookData: {} });
  } catch (error) {
    log('error', `appTerminate: ${format(error)}`);
  }
  process.exit(0);
}

// rhea's words about the bytes before each message that the Service Bus extension has it decode.
const noise = 'WARNING: expected described message section';
// The extension tells of each call that fails, with a stack; the app knows, and says what matters.
const details = /^\w+ request failed:/;

/** An app's console goes to the host's log. */
function logConsole(): void {
  const levels = {
    debug: 'debug',
    log: 'information',
    info: 'information',
    warn: 'warning',
    error: 'error',
  } as const;
  for (const [method, level] of Object.entries(levels))
    console[method as keyof typeof levels] = (...args: unknown[]) => {
      const text = format(...args);
      if (!text.startsWith(noise)) log(details.test(text) ? 'debug' : level, text);
    };
}
