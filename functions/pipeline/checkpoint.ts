/** What an attempt leaves for the next: values of steps, cursors of loops. */
import type { JobRecord, Kept } from '../model/job-record.ts';
import { keep, kept } from './claim-check.ts';
import type { Lease } from './lease.ts';
import type { Blobs } from './ports.ts';

interface Contents {
  steps: Record<string, unknown>;
  cursors: Record<string, unknown>;
}

export class Checkpoint {
  readonly #contents: Contents;
  readonly #lease: Lease;
  readonly #blobs: Blobs;
  #version: number;

  private constructor(contents: Contents, version: number, lease: Lease, blobs: Blobs) {
    this.#contents = contents;
    this.#version = version;
    this.#lease = lease;
    this.#blobs = blobs;
  }

  static async load(lease: Lease, blobs: Blobs): Promise<Checkpoint> {
    const stored = lease.record.checkpoint;
    const text = stored ? await kept(blobs, stored) : '{"steps":{},"cursors":{}}';
    const version = stored && 'blob' in stored ? versionOf(stored.blob) : 0;
    return new Checkpoint(JSON.parse(text) as Contents, version, lease, blobs);
  }

  has(kind: keyof Contents, name: string): boolean {
    return Object.hasOwn(this.#contents[kind], name);
  }

  get(kind: keyof Contents, name: string): unknown {
    return this.#contents[kind][name];
  }

  /** Resolves when the value is kept; `also` goes into the record with the same write. */
  async set(
    kind: keyof Contents,
    name: string,
    value: unknown,
    also: Partial<JobRecord>,
  ): Promise<void> {
    this.#contents[kind][name] = value;
    const checkpoint = await this.#keep();
    await this.#lease.write((record) => ({ ...record, ...also, state: 'running', checkpoint }));
  }

  #keep(): Promise<Kept> {
    // A new name each time: a worker that lost its lock must not change what the record points to.
    this.#version++;
    const blob = `jobs/${this.#lease.record.id}/checkpoint-${this.#version}-${this.#lease.owner}.json`;
    return keep(this.#blobs, blob, this.#contents);
  }
}

const versionOf = (blob: string) => Number(/checkpoint-(\d+)-/.exec(blob)?.[1] ?? 0);
