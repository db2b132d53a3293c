/** The stores, and what must never happen to them. */
import { hasEnded, type JobRecord, type StoredValue } from '#longhaul/model/job-record.js';
import { Stores } from '#longhaul/testing/stores.js';

// A string property of a table entity; larger values the store cuts in pieces.
const maxJsonChars = 32_000;

export class JudgedStores extends Stores {
  /** What must never happen, and did. */
  readonly violations: string[] = [];
  /** How often each record went from not ended to ended. */
  readonly ends = new Map<string, number>();
  /** How often a failed job was started again. */
  readonly restarts = new Map<string, number>();
  /** The steps to be undone that a job's last checkpoint had. */
  readonly undoable = new Map<string, string[]>();
  /** Steps whose value some write of the record has made last. */
  readonly keptSteps = new Map<string, Set<string>>();

  protected override wrote(record: JobRecord, before: JobRecord | undefined): void {
    const { id, state } = record;
    for (const kept of [record.result, record.checkpoint, record.input])
      if (kept && 'json' in kept && kept.json.length > maxJsonChars)
        this.violations.push(`${id} has a value of ${kept.json.length} characters in place`);
    if (!before && this.tombstones.has(id))
      this.violations.push(`${id} came back after its removal`);
    const wasOver = before !== undefined && hasEnded(before.state);
    if (hasEnded(state)) {
      if (!wasOver) this.ends.set(id, (this.ends.get(id) ?? 0) + 1);
      else if (before.state !== state)
        this.violations.push(`${id} ended as ${before.state}, then ${state}`);
    } else if (wasOver) {
      if (isRetry(before, record)) this.restarts.set(id, (this.restarts.get(id) ?? 0) + 1);
      else this.violations.push(`${id} went on after its end`);
    }
    if (record.checkpoint) this.#look(id, record.checkpoint);
  }

  #look(id: string, checkpoint: StoredValue): void {
    const json =
      'json' in checkpoint
        ? checkpoint.json
        : (this.blobs.get(checkpoint.blob)?.toString() ?? '{}');
    const entries = JSON.parse(json) as Record<
      string,
      { undo?: true; kind: string; value?: StoredValue; cursor?: StoredValue }
    >;
    const names = Object.keys(entries);
    this.undoable.set(
      id,
      names.filter((name) => entries[name]?.undo),
    );
    const steps = names.filter((name) => entries[name]?.kind === 'step' && entries[name]?.value);
    this.keptSteps.set(id, new Set(steps));
    for (const { value, cursor } of Object.values(entries))
      for (const kept of [value, cursor])
        if (kept && 'blob' in kept && !this.blobs.has(kept.blob))
          this.violations.push(`${id} keeps ${kept.blob}, which is not there`);
  }
}

/** Somebody started the failed job again. */
const isRetry = (before: JobRecord, after: JobRecord) =>
  before.state === 'failed' && after.triedBefore === before.attempt && after.turn > before.turn;
