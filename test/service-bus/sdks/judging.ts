/** What the drivers that are written here have in common: main.js BRIEF. */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Brief, Said } from './brief.ts';
import type { Step } from './steps.ts';

/** One scenario of a client. */
export interface Running {
  run(step: Step): Promise<void>;
  close(): unknown;
}

const say = (said: Said) => process.stdout.write(`${JSON.stringify(said)}\n`);

/** Drives all scenarios of the brief, and ends the process. */
export async function judgeAll(
  begin: (brief: Brief, restart: () => Promise<void>) => Running,
): Promise<never> {
  const brief = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as Brief;
  const answers = createInterface(process.stdin)[Symbol.asyncIterator]();
  const restart = async () => {
    say({ restart: true });
    await answers.next();
  };
  const judge = async ({ name, steps }: Brief['alone'][number]) => {
    const scenario = begin(brief, restart);
    const done: string[] = [];
    try {
      for (const step of steps) {
        await scenario.run(step);
        done.push(step.do);
      }
      say({ name, why: null });
    } catch (fault) {
      say({ name, why: `${done.join(', ')}, then: ${(fault as Error).message}` });
    } finally {
      await scenario.close();
    }
  };
  await Promise.all(brief.sideBySide.map(judge));
  for (const scenario of brief.alone) await judge(scenario);
  process.exit(0);
}
