/** Blob triggers by polling: each version of a blob calls its function once, as receipts remember. */
import { createHash } from 'node:crypto';
import type { BlobItem, BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { describe } from '../log.ts';
import type { LoadedFunction } from '../worker/core-module.ts';
import { resolveExpressions } from './app-settings.ts';
import type { Listener, ListenerContext } from './listener.ts';
import { triggerOf } from './trigger.ts';
import { WorkerEndedError } from './worker.ts';

const pollEveryMs = 1_000;
// Learn, blob trigger: tried five times, then put aside as poison.
const maxAttempts = 5;

export async function listenBlobs(
  functions: readonly LoadedFunction[],
  context: ListenerContext,
  storage: () => BlobServiceClient,
): Promise<Listener> {
  const pollers = await Promise.all(
    functions.map((target) => BlobPoller.start(target, context, storage())),
  );
  return { stop: async () => void (await Promise.all(pollers.map((poller) => poller.stop()))) };
}

class BlobPoller implements Listener {
  readonly #target: LoadedFunction;
  readonly #context: ListenerContext;
  readonly #container: ContainerClient;
  readonly #receipts: ContainerClient;
  readonly #binding: string;
  readonly #prefix: string;
  readonly #pattern: RegExp;
  readonly #failures = new Map<string, number>();
  readonly #done = new Set<string>();
  #stopped = false;
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  private constructor(
    target: LoadedFunction,
    context: ListenerContext,
    storage: BlobServiceClient,
  ) {
    const { name, binding } = triggerOf(target);
    const path = String(resolveExpressions(binding['path'], context.settings));
    const [container = '', ...rest] = path.split('/');
    const blob = rest.join('/') || '{name}';
    this.#target = target;
    this.#context = context;
    this.#binding = name;
    this.#container = storage.getContainerClient(container);
    this.#receipts = storage.getContainerClient('azure-webjobs-hosts');
    this.#prefix = blob.split('{')[0] ?? '';
    const escaped = blob.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
    this.#pattern = new RegExp(`^${escaped.replace(/\{(\w+)\}/g, '(?<$1>.+)')}$`);
  }

  static async start(
    target: LoadedFunction,
    context: ListenerContext,
    storage: BlobServiceClient,
  ): Promise<BlobPoller> {
    const poller = new BlobPoller(target, context, storage);
    await poller.#receipts.createIfNotExists();
    poller.#loop = poller.#poll();
    return poller;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#loop;
  }

  async #poll(): Promise<void> {
    while (!this.#stopped) {
      try {
        for await (const blob of this.#container.listBlobsFlat({ prefix: this.#prefix })) {
          if (this.#stopped) return;
          await this.#offer(blob);
        }
      } catch (error) {
        // A container that is not there yet is an empty one.
        if ((error as { statusCode?: number }).statusCode !== 404)
          this.#context.log('warning', `${this.#target.metadata.name}: ${describe(error)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pollEveryMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async #offer(item: BlobItem): Promise<void> {
    const match = this.#pattern.exec(item.name);
    if (!match) return;
    const version = createHash('sha256')
      .update(`${this.#target.metadata.name}\n${item.name}\n${item.properties.etag}`)
      .digest('hex');
    if (this.#done.has(version)) return;
    const receipt = this.#receipts.getBlockBlobClient(`blobreceipts/${version}`);
    if (!(await receipt.exists()) && !(await this.#call(item, match.groups ?? {}, version))) return;
    await receipt.upload('', 0);
    this.#done.add(version);
  }

  /** True when this version is done with, well or (after five failures) not. */
  async #call(item: BlobItem, names: Record<string, string>, version: string): Promise<boolean> {
    try {
      const content = await this.#container.getBlobClient(item.name).downloadToBuffer();
      const metadata = {
        ...names,
        BlobTrigger: `${this.#container.containerName}/${item.name}`,
        Uri: this.#container.getBlobClient(item.name).url,
      };
      await this.#context.invoke(this.#target, {
        inputData: [{ name: this.#binding, data: { bytes: content } }],
        triggerMetadata: {
          ...Object.fromEntries(
            Object.entries(metadata).map(([name, value]) => [name, { string: value }]),
          ),
          Properties: { json: JSON.stringify({ etag: item.properties.etag }) },
        },
      });
      return true;
    } catch (error) {
      // The worker's end is no fault of this blob.
      if (error instanceof WorkerEndedError) return false;
      const failures = (this.#failures.get(version) ?? 0) + 1;
      this.#failures.set(version, failures);
      const poison = failures >= maxAttempts;
      const what = poison ? `gives up on ${item.name}` : `failed on ${item.name}`;
      this.#context.log('error', `${this.#target.metadata.name} ${what}: ${describe(error)}`);
      return poison;
    }
  }
}
