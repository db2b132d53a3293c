/** `longhaul init`: puts what Longhaul needs into an app that is there, and overwrites nothing. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Plan, planInit } from './plan.ts';

/** Writes what is missing, unless it is only to be said; answers what was done, in lines. @throws */
export async function init(folder: string, { dryRun = false } = {}): Promise<string> {
  const plan = await planInit(folder);
  if (!dryRun)
    for (const { file, text } of plan.writes) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), text);
    }
  return report(plan, dryRun);
}

function report({ writes, left, byHand }: Plan, dryRun: boolean): string {
  if (writes.length === 0) {
    const said = byHand.length === 0 ? 'Nothing is missing.' : 'Nothing more to write.';
    return [said, ...part('By hand', byHand)].join('\n');
  }
  const isBicep = ({ file }: Plan['writes'][number]) => dirname(file) === 'bicep';
  const lines = writes.filter((one) => !isBicep(one)).map(({ file, what }) => `${file}: ${what}`);
  const bicep = writes.filter(isBicep);
  if (bicep[0]) lines.push(`bicep/ (${bicep.length} files): ${bicep[0].what}`);
  return [
    ...part(dryRun ? 'Would write' : 'Written', lines),
    ...part('Left as it is', left),
    ...part('By hand', [...byHand, 'npm run build && npx longhaul start']),
  ].join('\n');
}

const part = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
