import { readFile } from 'node:fs/promises';

/** What jobs noted, a JSON value each line; none while the file is not there. */
export async function readLines(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
