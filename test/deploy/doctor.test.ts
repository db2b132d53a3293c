/**
 * The doctor against the local stack, and against a second one in which much is broken; what only Azure
 * can answer against answers made by hand. Each of its checks meets a fault, which it has to name.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { alertNames } from '#dev/deploy/doctor/apps.js';
import type { Answer } from '#dev/deploy/doctor/arm.js';
import type { Finding } from '#dev/deploy/doctor/check.js';
import { containers, roleNames, tables } from '#dev/deploy/doctor/group.js';
import { clientsOf, createApi, createSite, type Site } from '#dev/deploy/doctor/site.js';
import { checks, examine, groupNamed, linesOf } from '#dev/deploy/doctor.js';
import { root, testStack } from '../support/stack.ts';
import { armOf, groupId, healthyAnswers } from './azure-answers.ts';

type Stack = Awaited<ReturnType<typeof testStack>>;
const main = 'dist/functions/index.js';
let well: Stack;
let sick: Stack;
let receiver: Server;
let callback: string;

/** The bus of the second stack lacks a queue. */
async function topologyWithout(queue: string): Promise<string> {
  const topology = JSON.parse(await readFile(join(root, 'topology.json'), 'utf8'));
  topology.queues = topology.queues.filter(({ name }: { name: string }) => name !== queue);
  const file = join(well.options.data, 'topology.json');
  await writeFile(file, JSON.stringify(topology));
  return file;
}

const disabled = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`AzureWebJobs.${name}.Disabled`, 'true']));

before(async () => {
  receiver = createServer((_, response) => response.writeHead(204).end());
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  callback = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  well = await testStack({ main });
  sick = await testStack({
    main,
    topology: await topologyWithout('replies-keyed'),
    settings: {
      ...disabled('work-standard-keyed', 'work-urgent', 'take-completions', 'run-schedules'),
      INBOX: 'off',
      CALLBACK_SECRET: '',
    },
  });
});
after(async () => {
  await sick?.remove();
  await well?.remove();
  receiver?.close();
});

function siteAt(stack: Stack, more: Partial<Site> = {}): Site {
  const { serviceBus: ServiceBus, storage: AzureWebJobsStorage } = stack;
  const clients = clientsOf({ ServiceBus, AzureWebJobsStorage });
  assert.ok(clients);
  const api = createApi(`${stack.url}/api`);
  return createSite({ api, clients, callback, patienceMs: 60_000, ...more });
}

async function faultOf(name: string, site: Site): Promise<string> {
  const [finding] = await examine(site, [name]);
  assert.ok(finding, name);
  assert.equal(finding.state, 'fault', `${name}: ${finding.detail}`);
  assert.equal(finding.check, name);
  assert.ok(finding.todo && linesOf(finding).includes(`Do: ${finding.todo}`));
  return finding.detail;
}

const ofAzure = [
  ...['deployment', 'roles', 'settings', 'secrets', 'stores', 'apps', 'functions'],
  ...['diagnostics', 'alerts', 'logs'],
];
const unguarded = 'guarded';

test('a healthy stack passes each check that can be asked of it, and keeps nothing of the visit', async () => {
  const site = siteAt(well);
  const findings = await examine(site);
  const by = (state: string) => findings.filter((f) => f.state === state).map((f) => f.check);
  assert.deepEqual(by('fault'), [], JSON.stringify(findings, null, 1));
  assert.deepEqual(by('skipped').sort(), [...ofAzure, unguarded].sort());
  const open = await fetch(`${well.url}/api/jobs?state=waiting`);
  assert.deepEqual(await open.json(), { jobs: [] });
  assert.equal((await fetch(`${well.url}/api/schedules/${site.mark}`)).status, 404);
  const { clients } = siteAt(well);
  const inbox = clients?.blobs.getContainerClient('inbox');
  for await (const { name } of inbox?.listBlobsFlat() ?? []) assert.fail(`${name} is left`);
});

describe('planted in the stack itself', () => {
  const impatient = { patienceMs: 4_000 };
  const planted: Record<string, RegExp> = {
    queues: /replies-keyed/,
    'native code': /the end of the job; job \w+ is queued/,
    'keyed job': /the end of the job; job \w+ is queued/,
    'waiting job': /the end of the job; job \w+ is waiting/,
    schedule: /a job of the schedule/,
    inbox: /a job of the blob/,
    reply: /replies-keyed/,
    callback: /answered 400: .*secret/i,
  };
  for (const [name, says] of Object.entries(planted))
    test(name, async () => {
      assert.match(await faultOf(name, siteAt(sick, impatient)), says);
    });
  test('alive', async () => {
    const api = createApi('http://127.0.0.1:9/api');
    assert.match(await faultOf('alive', siteAt(well, { api, patienceMs: 600 })), /health\/live/);
  });
  test('guarded: the local host asks nobody for a key', async () => {
    const api = createApi(`${well.url}/api`, { key: 'any' });
    assert.match(await faultOf('guarded', siteAt(well, { api })), /answered a stranger 200/);
  });
});

describe('planted in what comes back', () => {
  /** An API that answers one kind of call otherwise. */
  const lying = (call: RegExp, answer: (real: Response) => Promise<Response> | Response): Site => {
    const api = createApi(`${well.url}/api`);
    const told: Site['api']['call'] = async (path, init) => {
      const real = await api.call(path, init);
      return call.test(`${init?.method ?? 'GET'} ${path}`) ? answer(real) : real;
    };
    return siteAt(well, { api: { ...api, call: told }, patienceMs: 2_000 });
  };
  test('ready', async () => {
    const site = lying(
      /health\/ready/,
      () => new Response('{"detail":"no table"}', { status: 503 }),
    );
    assert.match(await faultOf('ready', site), /no table/);
  });
  test('let in', async () => {
    const site = lying(/job-types/, () => new Response('', { status: 401 }));
    assert.match(await faultOf('let in', site), /answered 401/);
  });
  test('job', async () => {
    const site = lying(/GET \/jobs\/\w+$/, async (real) =>
      Response.json({ ...((await real.json()) as object), state: 'queued' }),
    );
    assert.match(await faultOf('job', site), /job \w+ is queued/);
  });
  test('batch', async () => {
    const site = lying(/jobs\/batch/, () => Response.json({ accepted: 7, results: [] }));
    assert.match(await faultOf('batch', site), /7 of 20/);
  });
  test('stream', async () => {
    const site = lying(
      /\/events$/,
      () => new Response('event: state\ndata: {"state":"queued"}\n\n'),
    );
    assert.match(await faultOf('stream', site), /it ended with/);
  });
  test('keys: a storage that decodes twice', async () => {
    const entities = new Map<string, object>();
    const table = () => ({
      upsertEntity: async (entity: { rowKey: string }) =>
        entities.set(entity.rowKey.replaceAll('~', '%'), entity),
      getEntity: async (_: string, rowKey: string) => entities.get(rowKey),
      deleteEntity: async () => undefined,
    });
    const { clients } = siteAt(well);
    assert.ok(clients);
    const site = siteAt(well, { clients: { ...clients, table: table as never } });
    assert.match(await faultOf('keys', site), /is not found again/);
  });
});

describe('in Azure, by answers made by hand', () => {
  const siteWith = async (change: (answers: Record<string, Answer>) => void) => {
    const answers = structuredClone(healthyAnswers());
    change(answers);
    const given = { 'resource-group': 'rg-longhaul', subscription: '0000', deployment: 'longhaul' };
    const group = await groupNamed(armOf(answers), given as never);
    return siteAt(well, { group, patienceMs: 600 });
  };
  const under = (path: string) => `${groupId}/providers/${path}`;
  const web = under('Microsoft.Web/sites');

  test('a healthy deployment passes', async () => {
    const findings = await examine(await siteWith(() => undefined), [...ofAzure, 'queues']);
    const wrong = findings.filter(({ state }) => state !== 'ok');
    assert.deepEqual(wrong, []);
    assert.equal(findings.length, ofAzure.length + 1);
  });

  const planted: Record<string, [(answers: Record<string, Answer>) => void, RegExp]> = {
    deployment: [
      (a) =>
        delete a[under('Microsoft.Resources/deployments/longhaul')].properties.outputs
          .storageAccount,
      /storageAccount/,
    ],
    roles: [
      (a) => {
        a[under('Microsoft.Authorization/roleAssignments')].shift();
        a[under('Microsoft.Authorization/roleAssignments')].pop();
      },
      /no Azure Service Bus Data Sender on replies-keyed; no Monitoring Metrics Publisher/,
    ],
    settings: [
      (a) => {
        a[`${web}/func-heavy/config/appsettings/list`].properties.LANES = 'bulk';
      },
      /no app serves heavy; two apps serve bulk/,
    ],
    secrets: [
      (a) => {
        a[`${web}/func-api/config/configreferences/appsettings`][0].properties.status =
          'AccessToKeyVaultDenied';
      },
      /CALLBACK_SECRETS is AccessToKeyVaultDenied/,
    ],
    queues: [
      (a) => {
        const [first] = a[under('Microsoft.ServiceBus/namespaces/sbns/queues')];
        first.properties.maxDeliveryCount = 10;
      },
      /urgent\.maxDeliveryCount is 10, not 30/,
    ],
    stores: [
      (a) => a[under('Microsoft.Storage/storageAccounts/st/tableServices/default/tables')].pop(),
      /there is no longhaulschedules/,
    ],
    apps: [
      (a) => {
        a[`${web}/func-heavy`].properties.state = 'Stopped';
      },
      /func-heavy is Stopped/,
    ],
    functions: [
      (a) => {
        a[`${web}/func-api/functions`][0].properties.isDisabled = true;
        a[`${web}/func-heavy/functions`] = [];
      },
      /func-api: work-urgent is disabled; func-heavy has no work-heavy/,
    ],
    diagnostics: [
      (a) => {
        a[`${web}/func-api/providers/Microsoft.Insights/diagnosticSettings`] = [];
      },
      /func-api sends nothing/,
    ],
    alerts: [
      (a) => {
        a[under('Microsoft.Insights/metricAlerts')][0].properties.actions = [];
        a[under('Microsoft.Insights/scheduledQueryRules')].pop();
      },
      /dead-letters tells nobody; there is no scheduler-silent/,
    ],
    logs: [
      (a) => {
        a['logs'] = [[0]];
      },
      /no line "longhaul\.scheduler alive"/,
    ],
  };
  for (const [name, [change, says]] of Object.entries(planted))
    test(name, async () => assert.match(await faultOf(name, await siteWith(change)), says));

  test('what comes after a fault is not asked', async () => {
    const site = await siteWith((a) => {
      a[`${web}/func-heavy/config/appsettings/list`].properties.LANES = '';
    });
    const [settings, functions] = await examine(site, ['settings', 'functions']);
    assert.deepEqual([settings?.state, functions?.state], ['fault', 'skipped']);
    assert.equal(functions?.detail, "comes after 'settings'");
  });
});

test('for programs: JSON, and an exit code', async () => {
  const command = join(root, 'packages/longhaul-dev/bin/longhaul.js');
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [command, 'doctor', ...args]).then(
      ({ stdout }) => ({ code: 0, stdout }),
      (error: { code: number; stdout: string }) => error,
    );
  const url = `${well.url}/api`;
  const fine = await run('--url', url, '--only', 'alive', '--json');
  assert.equal(fine.code, 0);
  assert.deepEqual(
    (JSON.parse(fine.stdout) as Finding[]).map(({ check, state }) => [check, state]),
    [['alive', 'ok']],
  );
  const faulty = await run('--url', url, '--key', 'any', '--only', 'guarded');
  assert.equal(faulty.code, 1);
  assert.match(faulty.stdout, /^FAULT {4}guarded/);
  assert.equal((await run('--azure')).code, 2);
});

test('what the doctor knows of the template is what the template says', async () => {
  const read = (file: string) => readFile(join(root, 'bicep', file), 'utf8');
  const ids = [
    ...(await read('roles.bicep')).matchAll(/'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'/g),
  ];
  assert.deepEqual(new Set(ids.map(([, id]) => id)), new Set(Object.keys(roleNames)));
  const alerts = await read('alerts.bicep');
  for (const name of Object.values(alertNames).flat())
    assert.match(alerts, new RegExp(`name: '(\\$\\{alert\\.name\\}|${name})`));
  const storage = await read('storage.bicep');
  for (const name of [...tables, ...Object.keys(containers)])
    assert.ok(storage.includes(`'${name}'`));
  const outputs = await read('main.bicep');
  for (const name of ['apiUrl', 'functionAppNames', 'hostStorageAccount', 'identityPrincipalId'])
    assert.match(outputs, new RegExp(`^output ${name} `, 'm'));
});

test('every check has a name of its own and comes after one that is there', () => {
  const names = checks.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, after: first } of checks)
    if (first)
      assert.ok(names.indexOf(first) >= 0 && names.indexOf(first) < names.indexOf(name), name);
});
