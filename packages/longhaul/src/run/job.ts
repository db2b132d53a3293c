/** The `job` that a handler gets. */
import type { Job } from '../define/define-job.ts';
import { createLog } from '../handler/job-log.ts';
import type { Run } from '../handler/run.ts';
import type { KeyState } from '../handler/session-state.ts';
import { createSteps } from '../handler/steps.ts';
import { fileBlob } from '../model/names.ts';
import { createWaits } from '../wait/waits.ts';

export function createJob(run: Run, session: KeyState): Job {
  const { lease, signal, checkpoint, reporter, undo, calls, suspension } = run;
  const { blobs } = run.app;
  const { id, attempt, requestedBy, parent, schedule, scheduledFor } = lease.record;
  return {
    id,
    attempt,
    signal,
    requester: {
      ...(requestedBy ? { requestedBy } : {}),
      ...(parent ? { parent } : {}),
      ...(schedule ? { schedule } : {}),
    },
    ...(scheduledFor ? { scheduledFor: new Date(scheduledFor) } : {}),
    files: {
      write: (name, content, contentType = 'application/octet-stream') =>
        calls.watch(`Writing file '${name}'`, () =>
          suspension.during(async () => {
            signal.throwIfAborted();
            const bytes = Buffer.from(content);
            if (!undo) await checkpoint.flush();
            if (!undo)
              await lease.persist(() => blobs.write(fileBlob(id, name), bytes, contentType));
            return { name, bytes: bytes.length };
          }),
        ),
      readInbox: (name) =>
        calls.watch(`Reading '${name}'`, () =>
          suspension.during(async () => {
            signal.throwIfAborted();
            return lease.persist(() => blobs.readInbox(name));
          }),
        ),
    },
    log: createLog(run.app, run.lines, lease.record),
    // The last report is written with the result, whoever waits for it.
    progress: (progress) =>
      calls.watch(
        'A progress report',
        () => suspension.during(async () => (undo ? undefined : reporter.report(progress))),
        { loose: true },
      ),
    session: {
      get: <T>() =>
        calls.watch('Reading the session state', () => suspension.during(() => session.get<T>())),
      set: (value) =>
        calls.watch('Setting the session state', () => session.set(value), { loose: true }),
    },
    ...createSteps(run),
    ...createWaits(run),
  };
}
