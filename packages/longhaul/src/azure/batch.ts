/**
 * Azure Batch by its REST API (learn.microsoft.com/rest/api/batchservice): the SDK for Node is of the
 * generation before managed identities. Every call may be made again: what is there already stays.
 */
import type { TokenCredential } from '@azure/identity';
import { NonRetryableError } from '../errors.ts';
import type { Batch, BatchTask } from '../outbound/simulation.ts';

const apiVersion = '2024-07-01.20.0';
const scope = 'https://batch.core.windows.net/.default';
// What one call takes.
const tasksAtOnce = 100;

export interface BatchOptions {
  /** The account's address: `https://NAME.REGION.batch.azure.com`. */
  url: string;
  pool: string;
  credential: TokenCredential;
}

interface TaskAnswer {
  value: {
    status: string;
    taskId: string;
    error?: { code: string; message?: { value: string } };
  }[];
}

export function createBatch({ url, pool, credential }: BatchOptions): Batch {
  async function call<T>(path: string, method: string, body?: unknown): Promise<T | undefined> {
    const token = await credential.getToken(scope);
    const response = await fetch(`${url}/${path}?api-version=${apiVersion}`, {
      method,
      headers: {
        authorization: `Bearer ${token?.token}`,
        'content-type': 'application/json; odata=minimalmetadata',
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (response.ok) return text ? (JSON.parse(text) as T) : undefined;
    // The job is there from an earlier try, or was deleted by one.
    if (/"(JobExists|JobNotFound|JobTerminating|JobCompleted)"/.test(text)) return undefined;
    const told = `Batch answered ${response.status} to ${method} ${path}: ${text.slice(0, 300)}`;
    const forGood = response.status < 500 && ![408, 429].includes(response.status);
    throw forGood ? new NonRetryableError(told) : new Error(told);
  }

  return {
    async submit(id, tasks) {
      await call('jobs', 'POST', { id, poolInfo: { poolId: pool }, usesTaskDependencies: true });
      for (let at = 0; at < tasks.length; at += tasksAtOnce) {
        const value = tasks.slice(at, at + tasksAtOnce).map(toTask);
        const answer = await call<TaskAnswer>(`jobs/${id}/addtaskcollection`, 'POST', { value });
        for (const { status, taskId, error } of answer?.value ?? [])
          if (!/^success$/i.test(status) && error?.code !== 'TaskExists')
            throw new Error(`Batch did not take task ${taskId}: ${error?.code}`);
      }
    },
    async counts(id) {
      const answer = await call<{ taskCounts: Record<string, number> }>(
        `jobs/${id}/taskcounts`,
        'GET',
      );
      const { succeeded = 0, failed = 0, active = 0, running = 0 } = answer?.taskCounts ?? {};
      return { succeeded, failed, open: active + running };
    },
    async remove(id) {
      await call(`jobs/${id}`, 'DELETE');
    },
  };
}

const toTask = ({ id, command, environment, after }: BatchTask) => ({
  id: String(id),
  commandLine: command,
  environmentSettings: Object.entries(environment).map(([name, value]) => ({ name, value })),
  constraints: { maxTaskRetryCount: 3 },
  ...(after ? { dependsOn: { taskIdRanges: [{ start: after.from, end: after.to }] } } : {}),
});
