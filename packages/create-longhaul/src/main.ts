/** `npm create longhaul [folder] [-- --yes]` */
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { createApp } from './template.ts';

const fallback = 'my-app';

async function ask(): Promise<string> {
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await asking.question(`Where shall the app be? (${fallback}) `)).trim() || fallback;
  } finally {
    asking.close();
  }
}

const command = new Command('create-longhaul')
  .description(
    'A new app with Longhaul: one job, one test, and what it needs to run here and in Azure.',
  )
  .argument('[folder]', 'where the app shall be')
  .option('-y, --yes', 'ask nothing and take the defaults')
  .action(async (given: string | undefined, { yes }: { yes?: boolean }) => {
    const folder = given ?? (yes || !process.stdin.isTTY ? fallback : await ask());
    await createApp(folder);
    process.stdout.write(
      `${folder} is made. Next:\n\n  cd ${folder}\n  npm install && npm start\n`,
    );
  });

try {
  await command.parseAsync();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
