/**
 * `longhaul doctor --azure --resource-group GROUP`, or `--url https://…/api --key KEY`: looks at a
 * deployment in the order in which things break, and says of each what it found and what to do. Without
 * either: at the app in this folder (`doctor/folder/`).
 */
import { parseArgs } from 'node:util';
import { apiChecks } from './doctor/api.ts';
import { appChecks, watchChecks } from './doctor/apps.ts';
import { type Arm, createArm } from './doctor/arm.ts';
import { type Check, type Finding, runChecks } from './doctor/check.ts';
import { entityChecks } from './doctor/entities.ts';
import { examineFolder, folderChecks } from './doctor/folder/examine.ts';
import { groupChecks, siteId, webVersion } from './doctor/group.ts';
import { jobChecks } from './doctor/jobs.ts';
import {
  clientsOf,
  createApi,
  createSite,
  type Group,
  type Site,
  tokenFor,
} from './doctor/site.ts';
import { wayChecks } from './doctor/ways.ts';

const { env } = process;

export const checks: readonly Check[] = [
  ...groupChecks,
  ...entityChecks,
  ...appChecks,
  ...apiChecks,
  ...jobChecks,
  ...wayChecks,
  ...watchChecks,
];

const usage = `longhaul doctor                           the app in this folder
                --azure --resource-group GROUP [--deployment longhaul] [--subscription ID]
                --url https://HOST/api [--key KEY]
  --entra api://CLIENT_ID   a token for the API, where entraClientId is set (or --token TOKEN)
  --callback https://…      an address that takes a POST, to try a callback
  --only NAME,NAME          these checks alone
  --patience SECONDS        for each (default 120)
  --json                    for programs
The exit code is 1 for a fault, 2 when nothing can be looked at.
Bus and storage: with --azure by your own login, else by ServiceBus and AzureWebJobsStorage.
`;

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const options = {
  ...{ url: text, key: text, token: text, entra: text, callback: text, only: text },
  ...{ azure: flag, 'resource-group': text, subscription: text },
  deployment: { ...text, default: 'longhaul' },
  patience: { ...text, default: '120' },
  json: flag,
  help: flag,
} as const;
type Options = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

/** The subscription that is named, or the only one there is. */
async function subscriptionOf(arm: Arm, named: string | undefined): Promise<string> {
  const chosen = named ?? env['AZURE_SUBSCRIPTION_ID'];
  if (chosen) return chosen;
  const [only, ...others] = await arm.list('/subscriptions', '2022-12-01');
  if (!only || others.length > 0) throw new Error('Several subscriptions: give --subscription ID.');
  return only.subscriptionId;
}

export async function groupNamed(arm: Arm, given: Options): Promise<Group> {
  const subscription = await subscriptionOf(arm, given.subscription);
  const id = `/subscriptions/${subscription}/resourceGroups/${given['resource-group']}`;
  const path = `${id}/providers/Microsoft.Resources/deployments/${given.deployment}`;
  const { properties } = await arm.get(path, '2022-09-01');
  const outputs = Object.entries(properties.outputs ?? {}) as [string, { value: unknown }][];
  return { arm, id, outputs: Object.fromEntries(outputs.map(([k, { value }]) => [k, value])) };
}

async function keyOf(group: Group): Promise<string> {
  const [app = ''] = group.outputs['functionAppNames'];
  const keys = await group.arm.post(`${siteId(group, app)}/host/default/listkeys`, webVersion);
  return keys.functionKeys.default;
}

async function siteOf(given: Options): Promise<Site> {
  const group = given.azure ? await groupNamed(createArm(), given) : undefined;
  const url = given.url ?? group?.outputs['apiUrl'];
  const key = given.key ?? env['KEY'] ?? (group ? await keyOf(group) : '');
  const token = given.token ?? (given.entra ? await tokenFor(given.entra) : '');
  const clients = clientsOf(env, group);
  return createSite({
    api: createApi(url, { key, token }),
    group,
    ...(clients ? { clients } : {}),
    callback: given.callback,
    patienceMs: Number(given.patience) * 1000,
  });
}

const signs = { ok: 'ok     ', fault: 'FAULT  ', skipped: 'skipped' };

export function linesOf({ check, state, detail, question, why, todo, seconds }: Finding): string {
  const found = `${detail} (${seconds} s)`;
  const below = [found, ...(why ? [`Why: ${why}`] : []), ...(todo ? [`Do: ${todo}`] : [])];
  const lines = below.map((line) => `\n${' '.repeat(25)}${line}`);
  return `${signs[state]}  ${check.padEnd(14)}  ${question}${lines.join('')}`;
}

/** Runs the checks, takes away what they made, and answers with what was found. */
export async function examine(
  site: Site,
  only: readonly string[] = [],
  say: (line: string) => void = () => undefined,
): Promise<Finding[]> {
  const chosen = checks.filter(({ name }) => only.length === 0 || only.includes(name));
  const findings: Finding[] = [];
  const tidy = async () => {
    for (const takeAway of site.later.splice(0).reverse())
      await takeAway().catch((error: Error) => say(`left behind: ${error.message}`));
  };
  const stop = () => void tidy().finally(() => process.exit(130));
  process.once('SIGINT', stop);
  try {
    for await (const finding of runChecks(chosen, site)) {
      findings.push(finding);
      say(linesOf(finding));
    }
  } finally {
    process.off('SIGINT', stop);
    await tidy();
    await site.clients?.serviceBus.close();
  }
  return findings;
}

/** Answers the exit code: 1 for a fault, 2 for what cannot be looked at. */
export async function doctor(args: string[]): Promise<number> {
  const { values: given } = parseArgs({ args, options });
  if (given.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (given.azure && !given['resource-group'] && !given.url) {
    process.stderr.write(usage);
    return 2;
  }
  const say = given.json ? () => undefined : (line: string) => process.stdout.write(`${line}\n`);
  const only = given.only?.split(',') ?? [];
  const isDeployed = given.url !== undefined || given.azure === true;
  checkNames(only, isDeployed ? checks : folderChecks);
  const findings = isDeployed
    ? await examine(await siteOf(given), only, say)
    : await examineFolder(process.cwd(), env, only, (finding) => say(linesOf(finding)));
  const faults = findings.filter(({ state }) => state === 'fault').length;
  const skipped = findings.filter(({ state }) => state === 'skipped').length;
  if (given.json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  say(`\n${findings.length - faults - skipped} well, ${faults} faults, ${skipped} skipped`);
  return faults > 0 ? 1 : 0;
}

/** @throws Error that names those there are: what is not looked at must not seem to be well */
function checkNames(only: readonly string[], all: readonly { name: string }[]): void {
  const names = all.map(({ name }) => name);
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new Error(`There is no check ${unknown.join(', ')}: there are ${names.join(', ')}.`);
}
