/** `topology.json` with types: lanes and their queues. Nothing else names a queue. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { durationSchema as duration } from './duration.ts';

const schema = z.object({
  lanes: z.array(
    z.object({
      ...{ name: z.string(), plain: z.string(), keyed: z.string(), maxTimeout: duration },
      /** Another namespace than the one that all else is in: the setting `ServiceBus_NAME`. */
      bus: z
        .string()
        .regex(/^[a-z][a-z0-9]*$/)
        .optional(),
    }),
  ),
  completions: z.string(),
  replies: z.array(z.string()),
  /** What Event Grid tells of new blobs in the inbox. */
  inbox: z.string(),
  queues: z.array(z.object({ name: z.string(), requiresSession: z.boolean() })),
});

export type Topology = z.output<typeof schema>;
export type Lane = Topology['lanes'][number];

/** Those of the sample's topology, or any that `topology.json` names: looked at when the app starts. */
export type LaneName = 'urgent' | 'standard' | 'bulk' | 'heavy' | (string & {});

/** From `topology.json`, which is part of what is deployed, or from what it says. */
export const readTopology = (given: URL | object): Topology =>
  schema.parse(given instanceof URL ? JSON.parse(readFileSync(given, 'utf8')) : given);

/** The setting by which the namespace of a lane is reached. */
export const connectionOf = (bus: string | undefined): string =>
  bus === undefined ? 'ServiceBus' : `ServiceBus_${bus}`;

/** The lane that a queue belongs to. */
export const laneOf = ({ lanes }: Pick<Topology, 'lanes'>, queue: string): Lane | undefined =>
  lanes.find(({ plain, keyed }) => plain === queue || keyed === queue);
