/** Timer triggers: NCRONTAB with seconds, past due after an outage, one instance at a time. */
import type { BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { Cron } from 'croner';
import { reportFailure } from '../log.ts';
import type { LoadedFunction } from '../worker/core-module.ts';
import { resolveExpressions } from './app-settings.ts';
import type { Listener, ListenerContext } from './listener.ts';
import { triggerOf } from './trigger.ts';

interface Status {
  last: string;
  next: string;
  lastUpdated: string;
}

/** Runs each timer while this host holds its lease; another host takes over when it goes. */
export async function listenTimers(
  functions: readonly LoadedFunction[],
  context: ListenerContext,
  storage: () => BlobServiceClient,
): Promise<Listener> {
  if (functions.length === 0) return { stop: async () => undefined };
  const container = storage().getContainerClient('azure-webjobs-hosts');
  await container.createIfNotExists();
  const timers = functions.map((target) => new Timer(target, context, container));
  await Promise.all(timers.map((timer) => timer.start()));
  return { stop: async () => void (await Promise.all(timers.map((timer) => timer.stop()))) };
}

// As the host: a lease of 15 s, renewed well before it ends, asked for again while another has it.
const leaseSeconds = 15;
const leaseEveryMs = 7_000;

class Timer implements Listener {
  readonly #target: LoadedFunction;
  readonly #context: ListenerContext;
  readonly #container: ContainerClient;
  readonly #name: string;
  readonly #binding: string;
  readonly #cron: Cron;
  readonly #runOnStartup: boolean;
  #lease:
    | ReturnType<ReturnType<ContainerClient['getBlobClient']>['getBlobLeaseClient']>
    | undefined;
  #next: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(target: LoadedFunction, context: ListenerContext, container: ContainerClient) {
    const { name, binding } = triggerOf(target);
    this.#target = target;
    this.#context = context;
    this.#container = container;
    this.#name = target.metadata.name;
    this.#binding = name;
    const schedule = String(resolveExpressions(binding['schedule'], context.settings));
    this.#cron = new Cron(schedule, { timezone: 'UTC', paused: true });
    this.#runOnStartup = binding['runOnStartup'] === true;
  }

  async start(): Promise<void> {
    await this.#tryToLead();
    this.#renewal = setInterval(() => void this.#tryToLead(), leaseEveryMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#renewal);
    clearTimeout(this.#next);
    await this.#running;
    await this.#lease?.releaseLease().catch(() => undefined);
  }

  async #tryToLead(): Promise<void> {
    try {
      if (this.#lease) {
        await this.#lease.renewLease();
        return;
      }
      const blob = this.#container.getBlockBlobClient(`locks/${this.#name}.listener`);
      // An existing blob under somebody's lease refuses both: then that host runs the timer.
      await blob.upload('', 0, { conditions: { ifNoneMatch: '*' } }).catch(() => undefined);
      const lease = blob.getBlobLeaseClient();
      await lease.acquireLease(leaseSeconds);
      this.#lease = lease;
      await this.#begin();
    } catch {
      this.#lease = undefined;
      clearTimeout(this.#next);
    }
  }

  async #begin(): Promise<void> {
    const status = await this.#readStatus();
    const isPastDue = status !== undefined && new Date(status.next).getTime() <= Date.now();
    if (isPastDue || this.#runOnStartup) this.#run(isPastDue);
    else this.#arm();
  }

  #arm(): void {
    const next = this.#cron.nextRun();
    if (!next || this.#stopped || !this.#lease) return;
    // Longer than a day would be longer than setTimeout can: look again then.
    const delay = Math.min(next.getTime() - Date.now(), 86_400_000);
    this.#next = setTimeout(
      () => (next.getTime() <= Date.now() + 5 ? this.#run(false) : this.#arm()),
      Math.max(delay, 0),
    );
  }

  #run(isPastDue: boolean): void {
    this.#running = this.#call(isPastDue).finally(() => {
      this.#running = undefined;
      this.#arm();
    });
  }

  async #call(isPastDue: boolean): Promise<void> {
    const now = new Date();
    const status: Status = {
      last: now.toISOString(),
      next: this.#cron.nextRun(now)?.toISOString() ?? '',
      lastUpdated: now.toISOString(),
    };
    const timer = {
      Schedule: { AdjustForDST: true },
      ScheduleStatus: { Last: status.last, Next: status.next, LastUpdated: status.lastUpdated },
      IsPastDue: isPastDue,
    };
    try {
      await this.#context.invoke(this.#target, {
        inputData: [{ name: this.#binding, data: { json: JSON.stringify(timer) } }],
        triggerMetadata: {},
      });
    } catch (error) {
      reportFailure(this.#context.log, this.#name, error);
    }
    await this.#writeStatus(status).catch((error: Error) =>
      this.#context.log('warning', `${this.#name}: ${error.message}`),
    );
  }

  #statusBlob() {
    return this.#container.getBlockBlobClient(`timers/${this.#name}/status`);
  }

  async #readStatus(): Promise<Status | undefined> {
    const blob = this.#statusBlob();
    if (!(await blob.exists())) return undefined;
    return JSON.parse((await blob.downloadToBuffer()).toString()) as Status;
  }

  async #writeStatus(status: Status): Promise<void> {
    const text = JSON.stringify(status);
    await this.#statusBlob().upload(text, Buffer.byteLength(text));
  }
}
