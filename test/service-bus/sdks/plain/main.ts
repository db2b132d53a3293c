/** Drives the scenarios with a plain AMQP client: main.js BRIEF. */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Brief, Said } from '../brief.ts';
import { PlainScenario } from './driver.ts';

const say = (said: Said) => process.stdout.write(`${JSON.stringify(said)}\n`);
const brief = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as Brief;
const answers = createInterface(process.stdin)[Symbol.asyncIterator]();

async function restart(): Promise<void> {
  say({ restart: true });
  await answers.next();
}

async function judge({ name, steps }: Brief['alone'][number]): Promise<void> {
  const scenario = new PlainScenario(brief, restart);
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
    scenario.close();
  }
}

await Promise.all(brief.sideBySide.map(judge));
for (const scenario of brief.alone) await judge(scenario);
process.exit(0);
