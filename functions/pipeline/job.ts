/** The `job` that a handler gets. */
import type { Job } from '../define-job.ts';
import type { Run } from './run.ts';
import type { KeyState } from './session-state.ts';
import { createSteps } from './steps.ts';
import { createWaits } from './waits.ts';

export function createJob(run: Run, session: KeyState): Job {
  const { lease, signal, reporter, undo } = run;
  const { blobs, log } = run.app;
  const { id, attempt, requestedBy, parent, schedule, scheduledFor } = lease.record;
  return {
    id,
    attempt,
    signal,
    asker: {
      ...(requestedBy ? { requestedBy } : {}),
      ...(parent ? { parent } : {}),
      ...(schedule ? { schedule } : {}),
    },
    ...(scheduledFor ? { scheduledFor: new Date(scheduledFor) } : {}),
    files: {
      async write(name, content, contentType = 'application/octet-stream') {
        signal.throwIfAborted();
        const bytes = Buffer.from(content);
        if (!undo) await blobs.write(fileBlob(id, name), bytes, contentType);
        return { name, bytes: bytes.length };
      },
      readInbox: (name) => blobs.readInbox(name),
    },
    log: (message) => log('info', `job ${id}: ${message}`),
    progress: async (progress) => {
      if (!undo) await reporter.report(progress);
    },
    session: session.job,
    ...createSteps(run),
    ...createWaits(run),
  };
}

export const fileBlob = (id: string, name: string) =>
  `jobs/${id}/files/${encodeURIComponent(name)}`;
