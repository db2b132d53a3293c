/**
 * What a handler logs, kept with its job. In groups, at most one a second, and at the end of the run; none
 * when nothing was logged. A group that cannot be written is lost: no job fails by it or waits for it.
 */
import type { JobLog } from '../define/define-job.ts';
import type { JobRecord } from '../model/job-record.ts';
import { logBlob } from '../model/names.ts';
import type { Blobs, Clock, Log } from '../ports.ts';
import { type LogLine, levels, lineChars } from '../record/log-lines.ts';

const everyMs = 1_000;
// How long the end of a run may take for its last lines.
const graceMs = 1_000;
/** Of all lines of a job. */
const mostBytes = 1024 * 1024;
const noteBytes = 1_000;

interface Logging {
  blobs: Blobs;
  clock: Clock;
  log: Log;
}

export class Lines {
  readonly #app: Logging;
  readonly #record: JobRecord;
  #pending: string[] = [];
  #pendingBytes = 0;
  /** Of the blob, once it is known. */
  #bytes = 0;
  #isFull = false;
  #isClosed = false;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;

  constructor(app: Logging, record: JobRecord) {
    this.#app = app;
    this.#record = record;
  }

  add(level: LogLine['level'], message: string, fields?: unknown): void {
    if (this.#isFull || this.#isClosed) return;
    const line = this.#textOf(level, message, fields);
    const bytes = Buffer.byteLength(line);
    if (this.#bytes + this.#pendingBytes + bytes > mostBytes - noteBytes) this.#note();
    else this.#put(line, bytes);
  }

  /** What comes later is not kept: the attempt is over. Resolves soon, whatever storage does. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    if (this.#pending.length === 0 && !this.#writing) return;
    const last = Promise.resolve(this.#writing).then(() => this.#write());
    await new Promise<void>((resolve) => {
      const cancel = this.#app.clock.after(graceMs, resolve);
      void last.finally(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Another has the job: what this run had to say is not part of it. */
  drop(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#pending = [];
  }

  #put(line: string, bytes: number): void {
    this.#pending.push(line);
    this.#pendingBytes += bytes;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#cancel || this.#writing || this.#isClosed || this.#pending.length === 0) return;
    this.#cancel = this.#app.clock.after(everyMs, () => {
      this.#cancel = undefined;
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
        this.#schedule();
      });
    });
  }

  #note(): void {
    const note = this.#textOf('warn', 'The log is full: what follows is left out.');
    this.#put(note, Buffer.byteLength(note));
    this.#isFull = true;
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const text = this.#pending.join('');
    this.#bytes += this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (text === '') return;
    const { blobs, log } = this.#app;
    const { id, type } = this.#record;
    try {
      const size = await blobs.append(logBlob(id), Buffer.from(text), mostBytes);
      // Attempts before this one have filled it.
      if (size === undefined) this.#isFull = true;
      else this.#bytes = size;
    } catch (error) {
      log('warn', `job ${id}: lines of its log are lost`, { job: id, type, error });
    }
  }

  #textOf(level: LogLine['level'], message: string, fields?: unknown): string {
    const { attempt } = this.#record;
    const at = this.#app.clock.now().toISOString();
    const line = { at, level, message: String(message).slice(0, lineChars), attempt };
    return `${JSON.stringify(fields === undefined ? line : { ...line, fields })}\n`;
  }
}

/** `job.log`: to the app's log and to the job's own. */
export function createLog({ log }: Pick<Logging, 'log'>, lines: Lines, record: JobRecord): JobLog {
  const { id, type, attempt } = record;
  const at = (level: LogLine['level']) => (message: string, fields?: object) => {
    const json = fields && jsonOf(fields);
    const error = fields && 'error' in fields ? { error: fields.error } : {};
    const text = `job ${id}: ${message}${json === undefined ? '' : ` ${json}`}`;
    log(level, text, { job: id, type, attempt, ...error });
    lines.add(level, message, json === undefined ? undefined : (JSON.parse(json) as unknown));
  };
  const [info, warn, error] = levels.map(at) as [JobLog['info'], JobLog['warn'], JobLog['error']];
  return Object.assign(at('info'), { info, warn, error });
}

/** Fields are for people: what JSON cannot say of them, or what is too long, is told as text. */
function jsonOf(fields: object): string | undefined {
  try {
    const json = JSON.stringify(fields, (_, value: unknown) => {
      if (value instanceof Error) return `${value.name}: ${value.message}`;
      return typeof value === 'bigint' ? String(value) : value;
    });
    if (json === undefined || json.length <= lineChars) return json;
    return JSON.stringify({ cut: json.slice(0, lineChars) });
  } catch (error) {
    return JSON.stringify({ cut: `no JSON: ${(error as Error).message}`.slice(0, lineChars) });
  }
}
