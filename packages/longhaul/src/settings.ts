/** Every setting, read once and checked; nothing else reads the environment. */
import { z } from 'zod';
import { SettingsError } from './errors.ts';
import { headersSchema } from './outbound/headers.ts';

const list = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(z.string().min(1)));

const wholeNumber = (fallback: number) => z.coerce.number().int().min(1).default(fallback);

const secret = z
  .string()
  .regex(
    /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/,
    'is no secret: write whsec_ and 24 to 64 bytes in base64',
  );

/** The newest first, with spaces between. */
const signers = z
  .string()
  .transform((text) => text.trim().split(/\s+/))
  .pipe(z.array(secret));

const hostOf = (text: string) => text.slice(0, text.indexOf('=')).toLowerCase();

const byHost = list
  .pipe(
    z.array(
      z
        .string()
        .regex(/^[^\s=]+=/, 'is no receiver: write hooks.example.com=whsec_…')
        .transform((text) => [hostOf(text), text.slice(text.indexOf('=') + 1)] as const)
        .pipe(z.tuple([z.string(), signers])),
    ),
  )
  .transform((entries) => new Map(entries));

const json = z.string().transform((text, context) => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not what the parser says: it shows what stands there.
    context.addIssue({ code: 'custom', message: 'is no JSON' });
    return z.NEVER;
  }
});

const headersByHost = json
  .pipe(z.record(z.string().toLowerCase(), headersSchema))
  .transform((hosts) => new Map(Object.entries(hosts)));

const account = z
  .string()
  .regex(/^[a-z0-9]{3,24}$|=/, 'is neither the name of a storage account nor main');

/** Which accounts take the records and files of jobs that are made from a time on. */
const places = json.pipe(
  z
    .array(
      z.strictObject({
        from: z.iso.datetime({ offset: true }).transform((time) => Date.parse(time)),
        accounts: z.array(account).min(1),
      }),
    )
    .refine(
      (all) => all.every(({ from }, at) => at === 0 || from > (all[at - 1]?.from ?? 0)),
      'is not in the order of its times',
    ),
);

const schema = z
  .object({
    /** A connection string, on one machine only … */
    ServiceBus: z.string().optional(),
    /** … or the namespace, reached by managed identity. */
    ServiceBus__fullyQualifiedNamespace: z.string().optional(),
    /** The host's own account; records, files and the inbox too, unless the next two name another. */
    AzureWebJobsStorage: z.string().optional(),
    AzureWebJobsStorage__blobServiceUri: z.url().optional(),
    AzureWebJobsStorage__tableServiceUri: z.url().optional(),
    AzureWebJobsStorage__accountName: z.string().optional(),
    DATA_BLOB_URI: z.url().optional(),
    DATA_TABLE_URI: z.url().optional(),
    /**
     * Further accounts for records and files: `[{"from":"2027-01-01T00:00:00Z","accounts":["main","st2"]}]`.
     * Entries stay for ever, as what was made under them stays where it is.
     */
    DATA_PLACES: places.default([]),
    /** The lanes whose workers run in this app. */
    LANES: list.default(['urgent', 'standard', 'bulk', 'heavy']),
    /** `off`: this app only works its lanes; HTTP, timers and completions are another app's. */
    API: z.enum(['on', 'off']).default('on'),
    /** How blobs in the inbox are noticed: the host's scan, Event Grid's events in a queue, not at all. */
    INBOX: z.enum(['scan', 'events', 'off']).default('scan'),
    /** How many jobs run at once in one process of this app, urgent lanes first. */
    JOBS_AT_ONCE: wholeNumber(64),
    /** Signs callbacks (Standard Webhooks): `whsec_` and 24 to 64 bytes in base64. Two while changing it. */
    CALLBACK_SECRET: signers.optional(),
    /** The same by receiver: `hooks.example.com=whsec_…, other.example.org=whsec_new whsec_old`. */
    CALLBACK_SECRETS: byHost.default(new Map()),
    /** Headers of web calls by host, which no job holds: `{"api.example.com":{"authorization":"…"}}`. */
    OUTBOUND_HEADERS: headersByHost.default(new Map()),
    /** Names and networks that callbacks and web calls may reach though they are not public. */
    OUTBOUND_ALLOW: list.default([]),
    /** An Azure Batch account, `https://NAME.REGION.batch.azure.com`, and a pool of it, for `simulation`. */
    BATCH_URL: z.url().optional(),
    BATCH_POOL: z.string().default('longhaul'),
    /** The largest request body, in bytes. */
    MAX_REQUEST_BYTES: wholeNumber(10 * 1024 * 1024),
    /**
     * How long a running handler has at shutdown before its job is handed back, in milliseconds. The
     * Functions host ends the process after five seconds, whatever is set here.
     */
    SHUTDOWN_GRACE_MS: wholeNumber(3_000),
    /** What each attempt says of where it ran: the platform sets them, but for the first. */
    LONGHAUL_VERSION: z.string().max(100).optional(),
    WEBSITE_DEPLOYMENT_ID: z.string().optional(),
    WEBSITE_SITE_NAME: z.string().optional(),
    WEBSITE_INSTANCE_ID: z.string().optional(),
    HOSTNAME: z.string().optional(),
  })
  .refine((s) => s.ServiceBus ?? s.ServiceBus__fullyQualifiedNamespace, {
    path: ['ServiceBus'],
    error: 'is missing: set ServiceBus or ServiceBus__fullyQualifiedNamespace',
  })
  .refine((s) => (s.DATA_BLOB_URI === undefined) === (s.DATA_TABLE_URI === undefined), {
    path: ['DATA_BLOB_URI'],
    error: 'and DATA_TABLE_URI name one account: set both, or none',
  })
  .refine(
    (s) =>
      s.AzureWebJobsStorage ??
      s.AzureWebJobsStorage__accountName ??
      (s.AzureWebJobsStorage__blobServiceUri && s.AzureWebJobsStorage__tableServiceUri),
    {
      path: ['AzureWebJobsStorage'],
      error:
        'is missing: set AzureWebJobsStorage, or AzureWebJobsStorage__accountName, or AzureWebJobsStorage__blobServiceUri and __tableServiceUri',
    },
  );

export interface Settings extends z.output<typeof schema> {
  /** Further namespaces by the name that lanes of topology.json give them: `ServiceBus_NAME`. */
  buses: ReadonlyMap<string, string>;
}

const busName = /^ServiceBus_([a-z][a-z0-9]*)(__fullyQualifiedNamespace)?$/;

const busesOf = (given: Record<string, string | undefined>) =>
  new Map(
    Object.entries(given).flatMap(([name, value]) => {
      const [, bus] = busName.exec(name) ?? [];
      return bus && value ? [[bus, value] as const] : [];
    }),
  );

/** @throws SettingsError that names each setting and what is wrong with it. */
export function readSettings(
  environment: Record<string, string | undefined> = process.env,
): Settings {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return { ...parsed.data, buses: busesOf(given) };
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
  throw new SettingsError(`The app cannot start:\n  ${problems.join('\n  ')}`);
}
