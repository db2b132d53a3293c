/**
 * A schedule for each tenant, at its own hour in its own time zone. They are data, made over the API
 * while the app runs; a schedule that all have alike stands in the job type (`schedules`).
 */
import { defineJob } from 'longhaul';
import type { HttpClient } from 'longhaul/client';
import { z } from 'zod';

export const digest = defineJob({
  type: 'tenant.digest',
  input: z.object({ since: z.string() }),
  // One at a time for a tenant, however many of its schedules are due.
  key: (_, { requestedBy = '' }) => requestedBy,
  async run({ since }, job) {
    const tenant = job.requester.requestedBy;
    const due = job.scheduledFor?.toISOString() ?? 'now';
    return { text: `Digest of ${tenant} since ${since}, due ${due}` };
  },
});

export interface Tenant {
  id: string;
  /** Five fields: minute, hour, day, month, day of the week. */
  cron: string;
  /** Such as Europe/Amsterdam. */
  timeZone: string;
}

/** Makes the schedules, or changes them: by their ids, so that calling it again does no harm. */
export async function keepDigests(
  client: HttpClient<readonly [typeof digest]>,
  tenants: readonly Tenant[],
): Promise<void> {
  const { refused, results } = await client.schedules.putMany(
    tenants.map(({ id, cron, timeZone }) => ({
      id: `digest-${id}`,
      type: digest.type,
      input: { since: 'yesterday' },
      ...{ cron, timeZone, tenant: id },
      ...{ overlap: 'skip', misfire: 'once', enabled: true },
    })),
  );
  if (refused > 0) throw new Error(`Refused: ${JSON.stringify(results)}`);
}
