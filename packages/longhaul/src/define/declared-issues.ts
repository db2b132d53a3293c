/** What is wrong with a schedule in the code, so that the app says so when it starts. Without I/O. */

import type { Issue } from '../errors.ts';
import type { DeclaredSchedule, Definition } from './define-job.ts';
import { issuesOf, listedIssues } from './schedule-definition.ts';
import { toIssue } from './validate.ts';

/** In one sentence; undefined when all is well. */
export function wrongWith(
  type: Pick<Definition, 'input'>,
  schedule: DeclaredSchedule<unknown>,
): string | undefined {
  const issues = [...issuesOf(schedule.id, schedule), ...issuesOfInput(type, schedule.input)];
  return issues.length > 0 ? listedIssues(issues) : undefined;
}

/** A schema that has to wait for something is asked at the first look, and the log says what it finds. */
function issuesOfInput({ input: schema }: Pick<Definition, 'input'>, input: unknown): Issue[] {
  const read = schema['~standard'].validate(input);
  if (read instanceof Promise) {
    read.catch(() => undefined);
    return [];
  }
  return (read.issues ?? [])
    .map(toIssue)
    .map(({ pointer, message }) => ({ pointer: `/input${pointer}`, message }));
}
