/** What a check is, and how many are run: in order, each by itself, with what it made taken away. */
import type { Site } from './site.ts';

export interface Check<S = Site> {
  /** For programs, and for `--only`. */
  name: string;
  question: string;
  /** What happens otherwise, where the question does not say it. */
  why?: string;
  /** When the answer is no. */
  todo: string;
  /** Nothing can be said before that check has passed. */
  after?: string;
  /** Answers with what was found. @throws when the answer is no, or Skipped */
  run(site: S): Promise<string>;
}

/** Nothing is wrong; it could not be asked. */
export class Skipped extends Error {}

export interface Finding {
  check: string;
  state: 'ok' | 'fault' | 'skipped';
  question: string;
  /** What was found, what is wrong, or why it was skipped. */
  detail: string;
  /** Both of a fault. */
  why?: string;
  todo?: string;
  seconds: number;
}

export async function* runChecks<S>(
  checks: readonly Check<S>[],
  site: S,
): AsyncGenerator<Finding, void, void> {
  const before = new Map<string, Finding>();
  for (const check of checks) {
    const first = before.get(check.after ?? '');
    const finding = await ask(check, site, first);
    before.set(check.name, finding);
    yield finding;
  }
}

/** `first` is what was found of the check that this one comes after, where that was chosen. */
async function ask<S>(
  { name, question, why, todo, run }: Check<S>,
  site: S,
  first: Finding | undefined,
): Promise<Finding> {
  const began = Date.now();
  const found = (state: Finding['state'], detail: string): Finding => ({
    check: name,
    state,
    question,
    detail,
    ...(state === 'fault' ? { ...(why ? { why } : {}), todo } : {}),
    seconds: Math.round((Date.now() - began) / 100) / 10,
  });
  if (first?.state === 'skipped') return found('skipped', first.detail);
  if (first?.state === 'fault') return found('skipped', `comes after '${first.check}'`);
  try {
    return found('ok', await run(site));
  } catch (error) {
    const { message } = error as Error;
    return found(error instanceof Skipped ? 'skipped' : 'fault', message);
  }
}

/** Asks until it gets an answer other than undefined; `what` is what it waited for. */
export async function until<T>(
  site: Pick<Site, 'patienceMs'>,
  what: string,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = Date.now() + site.patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end)
      throw new Error(`not within ${Math.round(site.patienceMs / 1000)} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** @throws Error that names the first ones, if there are any */
export function none(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > 8 ? `; and ${problems.length - 8} more` : '';
  throw new Error(`${problems.slice(0, 8).join('; ')}${more}`);
}
