/** The command `longhaul`. */
const commands: Record<string, () => Promise<unknown>> = {
  start: () => import('./start.ts'),
};

const [name = 'start'] = process.argv.slice(2);
const command = commands[name];
if (command) await command();
else {
  process.stderr.write(
    `There is no command '${name}'. Known: ${Object.keys(commands).join(', ')}.\n`,
  );
  process.exitCode = 2;
}
