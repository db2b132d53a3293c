/**
 * `longhaul capacity`: what a million jobs cost at list prices, and what binds first as they come faster.
 * The figures of docs/capacity.md are what this prints; every input stands here with its source.
 */

// List prices in US dollars, East US; sources: docs/capacity.md.
const price = {
  executionsPerMillion: 0.4,
  gbSecond: 0.000026,
  alwaysReadyGbSecond: 0.000004,
  /** Standard tier: dollars a million operations, by how many millions came before. */
  operationSteps: [
    { millions: 13, each: 0 },
    { millions: 87, each: 0.8 },
    { millions: 2_400, each: 0.5 },
    { millions: Number.POSITIVE_INFINITY, each: 0.2 },
  ],
  standardMonth: 9.81,
  premiumUnitMonth: 677.08,
  tablePer10k: 0.00036,
  blobWritePer10k: 0.054,
  blobReadPer10k: 0.0043,
  logGb: 2.3,
};

/** What one job does. The first is a small job as the code runs it; see docs/architecture.md. */
export interface Shape {
  name: string;
  /** Sends, receives and settlements. */
  operations: number;
  /** Calls of functions: the submit and the run. */
  executions: number;
  /** Of an instance, with what else runs beside it taken off. */
  instanceMs: number;
  /** After group commit. */
  tableTransactions: number;
  blobWrites: number;
  blobReads: number;
  logBytes: number;
}

const small: Shape = {
  name: 'small: result in the record, one reply',
  operations: 3 + 1,
  executions: 2,
  instanceMs: 8,
  tableTransactions: 2,
  blobWrites: 0,
  blobReads: 0,
  logBytes: 100,
};

/** As it is planned: one call for a hundred jobs, their writes shared. Goals, not measurements. */
const express: Shape = {
  ...small,
  name: 'express lane (planned, not built)',
  executions: 0.02,
  instanceMs: 1,
  tableTransactions: 0.1,
};

export const shapes: Shape[] = [
  small,
  { ...small, name: 'with input and result in blobs', blobWrites: 2, blobReads: 2 },
  { ...small, name: 'submitted by batches of 100 over HTTP', executions: 1.01, instanceMs: 6 },
  { ...small, name: 'a line of 1 KB logged for each job', logBytes: 1_100 },
  { ...small, name: 'ten seconds of work, 16 beside each other', instanceMs: 10_000 / 16 },
];

const million = 1_000_000;
const instanceGb = 2;

/** Dollars a million jobs, at the first paid step of the bus. */
export function costPerMillion(shape: Shape) {
  const bus = shape.operations * 0.8;
  const executions = shape.executions * price.executionsPerMillion;
  const compute = ((million * shape.instanceMs) / 1000) * instanceGb * price.gbSecond;
  const tables = (shape.tableTransactions * million * price.tablePer10k) / 10_000;
  const blobs =
    (million / 10_000) *
    (shape.blobWrites * price.blobWritePer10k + shape.blobReads * price.blobReadPer10k);
  const logs = ((shape.logBytes * million) / 1e9) * price.logGb;
  const sum = bus + executions + compute + tables + blobs + logs;
  return { bus, executions, compute, tables, blobs, logs, sum };
}

/** Dollars a month for what is there without a job: namespace, one warm instance, the timers. */
export function costOfNothing() {
  const seconds = 30 * 86_400;
  const warm = seconds * instanceGb * price.alwaysReadyGbSecond;
  // Four times a minute, twice and once, each billed for at least a second of an instance.
  const ticks = (seconds / 60) * 7;
  const timers =
    ticks * instanceGb * price.gbSecond + (ticks / million) * price.executionsPerMillion;
  return { bus: price.standardMonth, warm, timers, sum: price.standardMonth + warm + timers };
}

export function standardMonth(operations: number): number {
  let left = operations / million;
  let sum = price.standardMonth;
  for (const { millions, each } of price.operationSteps) {
    const here = Math.min(left, millions);
    sum += here * each;
    left -= here;
  }
  return sum;
}

// What the services give; sources: docs/capacity.md.
const limit = {
  standardCredits: 1_000,
  /** Messages a second through one Premium messaging unit, at about 1.3 KB. */
  premiumMessages: 3_000,
  unitsOfNamespace: 64,
  accountEntities: 20_000,
  partitionEntities: 2_000,
  flexCores: 250,
  /** Small jobs a second on an instance of one core: half of what `npm run bench` runs on two. */
  jobsOfInstance: 150,
};

// What a namespace can be bought with: units times partitions (bicep/main.bicep).
const sizes = [1, 2, 4, 8, 16, 32, 64];

/** Units that can be bought, in whole namespaces and one more. */
function bought(units: number): number {
  const most = limit.unitsOfNamespace;
  const rest = units % most;
  return units - rest + (rest === 0 ? 0 : (sizes.find((size) => size >= rest) ?? most));
}

/** Entities written for one job: accepted, started, ended. */
const entities = 3;

export function needs(jobsPerSecond: number) {
  const messages = jobsPerSecond * 2;
  const units = bought(Math.ceil(messages / limit.premiumMessages));
  const written = jobsPerSecond * entities;
  return {
    messages,
    credits: messages * 2,
    standardNamespaces: Math.ceil((messages * 2) / limit.standardCredits),
    units,
    premiumNamespaces: Math.ceil(units / limit.unitsOfNamespace),
    premiumMonth: units * price.premiumUnitMonth,
    accounts: Math.ceil(written / limit.accountEntities),
    partitions: Math.ceil(written / limit.partitionEntities),
    instances: Math.ceil(jobsPerSecond / limit.jobsOfInstance),
    quotas: Math.ceil(jobsPerSecond / limit.jobsOfInstance / limit.flexCores),
  };
}

// HTTP, and the function of the lane: each has instances of its own.
const groups = 2;
const monthSeconds = 30 * 86_400;

/**
 * Dollars a month at so many jobs a second, evenly over the month. An instance is billed for a second at
 * least each time it wakes, so few jobs cost it as many do.
 */
export function monthAt(rate: number, shape: Shape) {
  const jobs = rate * monthSeconds;
  const { warm, timers } = costOfNothing();
  const { units, credits, premiumMonth } = needs(rate);
  const isPremium = credits > limit.standardCredits;
  const busy = Math.max((rate * shape.instanceMs) / 1000, groups * (1 - Math.exp(-rate)));
  const per = costPerMillion(shape);
  const millions = jobs / million;
  const costs = {
    bus: isPremium ? premiumMonth : standardMonth(jobs * shape.operations),
    executions: millions * per.executions,
    compute: busy * monthSeconds * instanceGb * price.gbSecond,
    tables: millions * per.tables,
    logs: millions * per.logs,
    'warm instance, timers': warm + timers,
  };
  const sum = Object.values(costs).reduce((all, one) => all + one, 0);
  return { costs, sum, aMillion: sum / millions, units: isPremium ? units : 0 };
}

export function monthTable(): string {
  const rows = [1, 100, 10_000].flatMap((rate) =>
    [small, express].map((shape) => {
      const { costs, sum, aMillion } = monthAt(rate, shape);
      const name = `${whole(rate)}${shape === express ? ', express lane' : ''}`;
      return [name, ...Object.values(costs).map(whole), whole(sum), dollars(aMillion)];
    }),
  );
  const head = Object.keys(monthAt(1, small).costs);
  return table(['jobs a second', ...head, '$ a month', 'a million jobs'], rows);
}

/** The rates at which each part of one installation is full, lowest first. */
export function firstToBind() {
  return [
    { what: 'Service Bus Standard: 1,000 credits a second', at: limit.standardCredits / 4 },
    { what: 'one messaging unit of Service Bus Premium', at: limit.premiumMessages / 2 },
    { what: 'one storage account: 20,000 entities a second', at: limit.accountEntities / entities },
    { what: 'Flex Consumption: 250 cores', at: limit.flexCores * limit.jobsOfInstance },
    {
      what: 'one Premium namespace: 64 messaging units',
      at: (limit.unitsOfNamespace * limit.premiumMessages) / 2,
    },
  ].sort((a, b) => a.at - b.at);
}

const table = (head: string[], rows: (string | number)[][]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
const dollars = (n: number) => (n > 0 && n < 0.005 ? '< 0.01' : n.toFixed(2));
const whole = (n: number) => Math.round(n).toLocaleString('en');

export function costTable(): string {
  return table(
    ['a million jobs', 'bus', 'executions', 'compute', 'tables', 'blobs', 'logs', 'sum'],
    shapes.map((shape) => [shape.name, ...Object.values(costPerMillion(shape)).map(dollars)]),
  );
}

export function needsTable(): string {
  const rates = [1_000, 10_000, 100_000];
  const rows: [string, (n: ReturnType<typeof needs>) => number][] = [
    ['messages a second (job and reply)', ({ messages }) => messages],
    ['Standard credits a second', ({ credits }) => credits],
    ['Standard namespaces', ({ standardNamespaces }) => standardNamespaces],
    ['or Premium messaging units', ({ units }) => units],
    ['in Premium namespaces', ({ premiumNamespaces }) => premiumNamespaces],
    ['Premium, $ a month', ({ premiumMonth }) => premiumMonth],
    ['storage accounts', ({ accounts }) => accounts],
    ['busy table partitions, at least', ({ partitions }) => partitions],
    ['instances of one core', ({ instances }) => instances],
    ['Flex quotas of 250 cores', ({ quotas }) => quotas],
  ];
  return table(
    ['jobs a second', ...rates.map(whole)],
    rows.map(([name, of]) => [name, ...rates.map((rate) => whole(of(needs(rate))))]),
  );
}

export function bindingTable(): string {
  return table(
    ['full at, jobs a second', 'what'],
    firstToBind().map(({ what, at }) => [whole(at), what]),
  );
}

export function restText(): string {
  const { bus, warm, timers, sum } = costOfNothing();
  return `Without a job: ${dollars(sum)} a month (namespace ${dollars(bus)}, one warm instance ${dollars(warm)}, timers ${dollars(timers)}).`;
}

export const capacity = (): string =>
  [costTable(), restText(), monthTable(), bindingTable(), needsTable()].join('\n\n');
