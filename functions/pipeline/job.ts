/** The `job` that a handler gets. */
import type { Job } from '../define-job.ts';
import type { Progress } from '../model/job-record.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Lease } from './lease.ts';
import type { Blobs, Clock, Log } from './ports.ts';

// Four a second is as often as a person sees; a tight loop may report every row.
const progressEveryMs = 250;

export interface RunningJob {
  job: Job;
  /** Writes a report that was held back; call it before the attempt is decided. */
  flush(): Promise<void>;
}

export function createJob(
  { lease, checkpoint, signal }: { lease: Lease; checkpoint: Checkpoint; signal: AbortSignal },
  { blobs, clock, log }: { blobs: Blobs; clock: Clock; log: Log },
): RunningJob {
  const { id, attempt, requestedBy, parent, schedule, scheduledFor } = lease.record;
  const reporter = createReporter(lease, clock, signal);
  const job: Job = {
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
        await blobs.write(fileBlob(id, name), bytes, contentType);
        return { name, bytes: bytes.length };
      },
      readInbox: (name) => blobs.readInbox(name),
    },
    log: (message) => log('info', `job ${id}: ${message}`),
    progress: (progress) => reporter.report(progress),
    async step(name, run) {
      signal.throwIfAborted();
      if (checkpoint.has('steps', name)) return checkpoint.get('steps', name) as never;
      const value = await run();
      signal.throwIfAborted();
      await checkpoint.set('steps', name, value ?? null, reporter.take());
      return value;
    },
    async checkpoint(name, start, run) {
      const from = checkpoint.has('cursors', name) ? checkpoint.get('cursors', name) : start;
      return run(from as typeof start, async (next) => {
        signal.throwIfAborted();
        await checkpoint.set('cursors', name, next, reporter.take());
      });
    },
  };
  return { job, flush: () => reporter.flush() };
}

export const fileBlob = (id: string, name: string) =>
  `jobs/${id}/files/${encodeURIComponent(name)}`;

/** Holds reports back so that they are few, and gives the latest to whatever is written next. */
function createReporter(lease: Lease, clock: Clock, signal: AbortSignal) {
  let latest: Progress | undefined;
  let lastAt = 0;
  const take = () => {
    const taken = latest ? { progress: latest } : {};
    latest = undefined;
    lastAt = clock.now().getTime();
    return taken;
  };
  const flush = async () => {
    if (!latest) return;
    const also = take();
    await lease.write((record) => ({ ...record, ...also, state: 'running' }));
  };
  return {
    take,
    flush,
    async report(progress: Progress): Promise<void> {
      signal.throwIfAborted();
      latest = progress;
      if (clock.now().getTime() - lastAt >= progressEveryMs) await flush();
    },
  };
}
