/** The broker as a process of the stack, or by itself: `npm run bus`. */
import { endWithParent, reportReady } from './child.ts';
import { help, readCommandLine } from './command-line.ts';
import { start } from './start.ts';

try {
  const options = await readCommandLine(process.argv.slice(2));
  if (options) await serve(await start(options));
  else process.stdout.write(help);
} catch (fault) {
  // What is wrong, not where in the code it was noticed.
  process.stderr.write(
    `${(fault as Error).message}\nWhat there is to set: npm run bus -- --help\n`,
  );
  process.exitCode = 2;
}

async function serve(broker: Awaited<ReturnType<typeof start>>): Promise<void> {
  if (process.send) {
    endWithParent();
    reportReady({ port: broker.port, connectionString: broker.connectionString });
  } else process.stdout.write(`Service Bus on port ${broker.port}\n${broker.connectionString}\n`);
  for (const signal of process.send ? (['SIGTERM'] as const) : (['SIGTERM', 'SIGINT'] as const))
    process.on(signal, () => void broker.close().then(() => process.exit(0)));
}
