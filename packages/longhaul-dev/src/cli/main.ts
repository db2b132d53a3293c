/** The command `longhaul`: one line for each of its commands, which load what they need when called. */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { remoteCommands } from './remote.ts';
import { say } from './say.ts';

const { version } = createRequire(import.meta.url)('longhaul-dev/package.json') as {
  version: string;
};

/** Its arguments are read where they are known. */
const passing = (command: Command) =>
  command.allowUnknownOption().allowExcessArguments().helpOption(false).argument('[arguments...]');

const longhaul = new Command('longhaul')
  .description('Background jobs on Azure Functions and Azure Service Bus.')
  .version(version);

longhaul
  .command('start')
  .description('the app in this folder with all it needs: storage, Service Bus, Functions host')
  .option('--main <files>', 'another entry point than main of package.json, a file or a pattern')
  .action(async ({ main }: { main?: string }) => {
    const { start } = await import('./start.ts');
    await start(main);
  });

longhaul
  .command('dev')
  .description('the same, and what is saved is compiled and served at once')
  .action(async () => {
    const { dev } = await import('./dev.ts');
    await dev();
  });

longhaul
  .command('init')
  .description('puts what is needed into the Functions app in this folder; overwrites nothing')
  .argument('[folder]', 'of the app', '.')
  .option('--dry-run', 'only say what would be written')
  .action(async (folder: string, options: { dryRun?: boolean }) => {
    const { init } = await import('create-longhaul/internal/init/init');
    say(await init(folder, options));
  });

passing(longhaul.command('bus'))
  .description('the embedded Service Bus by itself; --help says what there is to set')
  .action(async () => {
    process.argv.splice(2, 1);
    await import('longhaul-service-bus/internal/process');
  });

longhaul
  .command('package')
  .description('what goes to Azure: the compiled app as one bundled file')
  .argument('[folder]', 'where to', 'dist/package')
  .action(async (folder: string) => {
    const { createPackage } = await import('../deploy/package.ts');
    await createPackage(folder);
    say(`${folder}\nPublish it: cd there, then func azure functionapp publish NAME --javascript`);
  });

longhaul
  .command('emulator-config')
  .description("topology.json for Microsoft's Service Bus emulator")
  .argument('[file]', 'where to')
  .action(async (file?: string) => {
    const { configFile, writeEmulatorConfig } = await import('../deploy/emulator.ts');
    process.stdout.write(await writeEmulatorConfig(file ?? configFile));
  });

longhaul
  .command('capacity')
  .description('what a million jobs cost, and what binds first')
  .action(async () => {
    const { capacity } = await import('../deploy/capacity.ts');
    say(capacity());
  });

passing(longhaul.command('doctor'))
  .description(
    'looks at the app in this folder, or end to end at a deployment, and says what to do',
  )
  .action(async (args: string[]) => {
    const { doctor } = await import('../deploy/doctor.ts');
    process.exitCode = await doctor(args);
  });

for (const command of remoteCommands()) longhaul.addCommand(command);
// 1 says that a job did not succeed: what is asked for wrongly is 2.
for (const command of [longhaul, ...longhaul.commands]) command.exitOverride();

try {
  await longhaul.parseAsync();
} catch (error) {
  // The library has told already.
  const isTold = error instanceof CommanderError;
  if (!isTold) process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = isTold && error.exitCode === 0 ? 0 : 2;
}
