/**
 * Compose, Kubernetes, azd and workflow files. With SCHEMAS (a folder, see docs/deploy.md) also against
 * the schemas of those who read them.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication';
import { Ajv } from 'ajv';
import { build } from 'esbuild';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import { configFile, emulatorConfig } from '#dev/deploy/emulator.js';
import { readTopology } from '#longhaul/model/topology.js';
import { readSettings } from '#longhaul/settings.js';
import { root, testStack } from '../support/stack.ts';

const read = (file: string) => readFileSync(join(root, file), 'utf8');
const topology = readTopology(new URL('../../../topology.json', import.meta.url));

test("the emulator's configuration is what topology.json gives", async () => {
  const { config } = await emulatorConfig();
  assert.deepEqual(JSON.parse(readFileSync(configFile, 'utf8')), config, 'npm run emulator:config');
});

// biome-ignore lint/suspicious/noExplicitAny: YAML of any kind
type Yaml = any;

test('compose: three services, on loopback only, with the configuration mounted', () => {
  const { services } = parse(read('deploy/emulator/compose.yaml')) as Yaml;
  assert.deepEqual(Object.keys(services), ['sql', 'servicebus', 'azurite']);
  for (const service of Object.values<Yaml>(services))
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
  assert.ok(services.servicebus.volumes[0].startsWith('./servicebus.json:'));
  assert.ok(existsSync(join(root, 'deploy/emulator/servicebus.json')));
  // Not floating: `latest` moved under people before. SQL Server has no tag that is whole and stays.
  for (const name of ['servicebus', 'azurite'])
    assert.match(services[name].image, /:\d+\.\d+\.\d+$/);
});

const kinds = {
  Namespace,
  ServiceAccount,
  ConfigMap,
  Deployment,
  Service,
  TriggerAuthentication,
  ScaledObject,
};
const manifests = () =>
  parseAllDocuments(read('deploy/kubernetes.yaml')).map((document) => document.toJS() as Yaml);

test('Kubernetes: every manifest fits its schema', () => {
  for (const manifest of manifests()) {
    const Kind = kinds[manifest.kind as keyof typeof kinds] as new (
      value: Yaml,
    ) => { validate(): void };
    assert.ok(Kind, manifest.kind);
    new Kind(manifest).validate();
  }
  const [broken] = manifests().filter(({ kind }) => kind === 'ScaledObject');
  broken.spec.minReplicaCount = 'none';
  assert.throws(() => new ScaledObject(broken).validate());
});

test('Kubernetes: no container is root, or may become it', () => {
  for (const { kind, spec } of manifests()) {
    if (kind !== 'Deployment') continue;
    const pod = spec.template.spec;
    assert.deepEqual(
      [pod.securityContext.runAsNonRoot, pod.securityContext.seccompProfile.type],
      [true, 'RuntimeDefault'],
    );
    for (const { securityContext } of pod.containers) {
      assert.equal(securityContext.allowPrivilegeEscalation, false);
      assert.deepEqual(securityContext.capabilities.drop, ['ALL']);
    }
  }
  assert.match(read('deploy/Dockerfile'), /^USER 1000:1000$/m);
});

test('what is deployed is named by digest, or can be', () => {
  for (const { kind, spec } of manifests())
    if (kind === 'Deployment')
      for (const { image } of spec.template.spec.containers) assert.match(image, /@IMAGE_DIGEST$/);
  const dockerfile = read('deploy/Dockerfile');
  const from = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image ?? '');
  assert.equal(from.length, 2);
  for (const image of from) assert.match(image, /^\$\{(BUILD|HOST)_IMAGE\}$/);
  for (const name of ['BUILD_IMAGE', 'HOST_IMAGE']) {
    assert.match(dockerfile, new RegExp(`^ARG ${name}=\\S+:\\S+$`, 'm'));
    assert.match(read('docs/deploy.md'), new RegExp(`--build-arg ${name}=\\S+@sha256:`));
  }
});

test('docs: the environment that may deploy takes the branch main only', () => {
  const doc = read('docs/deploy.md');
  assert.match(doc, /"custom_branch_policies": true/);
  assert.match(doc, /deployment-branch-policies -f name=main/);
});

test('Kubernetes: every lane has its workers, each scaled by the queues of its lanes, to zero', () => {
  const all = manifests();
  const deployments = all.filter(({ kind }) => kind === 'Deployment');
  const settingsOf = ({ spec }: Yaml): Record<string, string> => {
    const [container] = spec.template.spec.containers;
    const own = Object.fromEntries(container.env.map(({ name, value }: Yaml) => [name, value]));
    return { ...all.find(({ kind }) => kind === 'ConfigMap').data, ...own };
  };
  const lanes: string[] = [];
  const hostIds = new Set<string>();
  for (const deployment of deployments) {
    const settings = readSettings(settingsOf(deployment));
    lanes.push(...settings.LANES);
    const { terminationGracePeriodSeconds: grace } = deployment.spec.template.spec;
    assert.ok(settings.SHUTDOWN_GRACE_MS < grace * 1000, 'handlers end before the pod is killed');
    const hostId = settingsOf(deployment)['AzureFunctionsWebHost__hostid'] ?? '';
    // Learn, "Host ID considerations": 32 characters at most, small letters, digits and dashes.
    assert.match(hostId, /^[a-z0-9](?:[a-z0-9]|-(?!-)){0,30}[a-z0-9]$/);
    hostIds.add(hostId);
    const scaled = all.find(
      ({ kind, spec }) =>
        kind === 'ScaledObject' && spec.scaleTargetRef.name === deployment.metadata.name,
    );
    assert.equal(Boolean(scaled), settings.API === 'off', 'who runs timers is not scaled to zero');
    if (!scaled) continue;
    assert.equal(scaled.spec.minReplicaCount, 0);
    const queues = topology.lanes
      .filter(({ name }) => settings.LANES.includes(name))
      .flatMap(({ plain, keyed }) => [plain, keyed]);
    assert.deepEqual(
      scaled.spec.triggers.map((trigger: Yaml) => trigger.metadata.queueName),
      queues,
    );
  }
  assert.equal(hostIds.size, deployments.length, 'each has timers and keys of its own');
  assert.deepEqual(lanes.sort(), topology.lanes.map(({ name }) => name).sort());
});

test('Container Apps: every app has timers and keys of its own, shared by its replicas', () => {
  const bicep = read('bicep/container-apps.bicep');
  const names = [...bicep.matchAll(/^ {2}\{ name: '(\w+)', api:/gm)].map(([, name]) => name);
  assert.ok(names.length > 0);
  assert.equal(new Set(names).size, names.length);
  assert.match(
    bicep,
    /AzureFunctionsWebHost__hostid', value: take\('longhaul-\$\{app\.name\}', 32\)/,
  );
});

test('KEDA, which reads queues with our identity, is given a credential for it', () => {
  const { spec } = manifests().find(({ kind }) => kind === 'TriggerAuthentication');
  assert.ok(spec.podIdentity.identityId, 'not the identity of KEDA itself');
  // keda.sh/docs, "Azure AD Workload Identity", case 2: then KEDA's account is federated with it.
  const doc = read('docs/deploy.md');
  assert.match(doc, /for account in longhaul:longhaul keda:keda-operator;/);
  assert.match(doc, /system:serviceaccount:\$account/);
});

test('commands: func is told the language, Azurite not to look at versions', () => {
  const files = [
    'README.md',
    'docs/deploy.md',
    'packages/longhaul-dev/src/cli/main.ts',
    'deploy/emulator/compose.yaml',
  ];
  const lines = files.flatMap((file) => read(file).split('\n'));
  const publishing = lines.filter((line) => line.includes('azure functionapp publish'));
  const storing = lines.filter((line) => /\bazurite --/.test(line));
  assert.ok(publishing.length >= 4 && storing.length >= 2);
  // The package has no local.settings.json to tell it (Core Tools, GlobalCoreToolsSettings.cs).
  for (const line of publishing) assert.match(line, /--javascript/);
  // The SDKs are newer than the API that it knows.
  for (const line of storing) assert.match(line, /--skipApiVersionCheck/);
});

test('host.json: what a handler logs is kept, what the host says of each call is not', () => {
  const { logLevel } = JSON.parse(read('host.json')).logging;
  const { default: rest, Function: calls, ...own } = logLevel;
  assert.deepEqual([rest, calls], ['Information', 'Warning']);
  const queues = topology.lanes.flatMap(({ plain, keyed }) => [plain, keyed]);
  assert.deepEqual(
    own,
    Object.fromEntries(queues.map((queue) => [`Function.work-${queue}.User`, 'Information'])),
  );
});

test('azd: the services are the apps of the template, from the package', () => {
  const { services, infra } = parse(read('azure.yaml')) as Yaml;
  assert.deepEqual(Object.keys(services), ['api', 'heavy']);
  assert.equal(infra.path, 'bicep');
  for (const { project, remoteBuild } of Object.values<Yaml>(services))
    assert.deepEqual([project, remoteBuild], ['./dist/package', false]);
});

/** GitHub's own; bundled, as it imports JSON in a way that Node 20 and 22 refuse. */
async function workflowParser() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve('@actions/workflow-parser'))],
    bundle: true,
    format: 'cjs',
    platform: 'node',
    write: false,
  });
  const module = { exports: {} };
  const require = createRequire(import.meta.url);
  new Function('module', 'require', outputFiles[0]?.text ?? '')(module, require);
  return module.exports as typeof import('@actions/workflow-parser');
}

test('the workflow is one that GitHub takes, keeps no secret and logs in by OpenID Connect', async () => {
  const file = '.github/workflows/deploy.yml';
  const { NoOperationTraceWriter, parseWorkflow } = await workflowParser();
  const errorsOf = (content: string) =>
    parseWorkflow({ name: file, content }, new NoOperationTraceWriter()).context.errors.getErrors();
  assert.deepEqual(errorsOf(read(file)), []);
  assert.notDeepEqual(errorsOf('on: push\njobs:\n  a:\n    step: []\n'), []);
  assert.doesNotMatch(read(file), /secrets\./);
  const uses = [...read(file).matchAll(/uses: (\S+)/g)].map(([, action]) => action ?? '');
  assert.ok(uses.length > 0);
  for (const action of uses) assert.match(action, /@[0-9a-f]{40}$/, 'a tag can be moved');
  const { jobs } = parse(read(file)) as Yaml;
  for (const [name, { permissions, steps }] of Object.entries<Yaml>(jobs)) {
    if (permissions?.['id-token'] !== 'write') continue;
    const { 'client-id': client } = steps.find(({ uses: of }: Yaml) => /login@/.test(of)).with;
    const whose = name === 'deploy' ? 'AZURE_CLIENT_ID' : 'AZURE_READER_CLIENT_ID';
    assert.ok(client.includes(`vars.${whose} `), `${name} logs in as ${client}`);
  }
  assert.match(read(file), /id-token: write/);
});

test('a first deployment that fails says that there is nothing to go back to', async () => {
  const { jobs } = parse(read('.github/workflows/deploy.yml')) as Yaml;
  const step = jobs.deploy.steps.find(({ id }: Yaml) => id === 'last');
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-rollback-'));
  try {
    const output = join(folder, 'output');
    // `gh run list` prints nothing where no run is found.
    const script = `gh() { :; }\n${step.run}`;
    const env = { ...process.env, GITHUB_OUTPUT: output };
    const { stdout } = await promisify(execFile)('bash', ['-eo', 'pipefail', '-c', script], {
      cwd: folder,
      env,
    });
    assert.match(stdout, /::error::.*nothing to go back to/);
    assert.ok(!existsSync(output), 'so nothing is rolled back');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  for (const { name, if: condition } of jobs.deploy.steps)
    if (/^Roll /.test(name)) assert.match(condition, /steps\.last\.outputs\.found == 'yes'/);
});

test('the smoke test passes where a job runs, and fails where none does', async () => {
  const run = promisify(execFile);
  const smoke = join(root, 'deploy/smoke.sh');
  const stack = await testStack();
  try {
    const env = { ...process.env, API_URL: `${stack.url}/api`, TRIES: '30', PAUSE: '1' };
    const { stdout } = await run('bash', [smoke], { env });
    assert.match(stdout, /A job ran: .*"succeeded"/);
    await assert.rejects(
      run('bash', [smoke], {
        env: { ...env, API_URL: `${stack.url}/nothing`, TRIES: '1', PAUSE: '0' },
      }),
      /No job ran/,
    );
  } finally {
    await stack.remove();
  }
});

const schemas = process.env['SCHEMAS'];
const pairs = {
  'compose.json': () => parse(read('deploy/emulator/compose.yaml')),
  'azure.json': () => parse(read('azure.yaml')),
  'workflow.json': () => parse(read('.github/workflows/deploy.yml')),
  'emulator.json': () => JSON.parse(readFileSync(configFile, 'utf8')),
};
for (const [schema, value] of Object.entries(pairs))
  test(`fits ${schema}`, { skip: !schemas && 'set SCHEMAS, see docs/deploy.md' }, () => {
    const text = readFileSync(join(schemas ?? '', schema), 'utf8');
    const { $schema, $id, ...rules } = JSON.parse(text);
    const ajv = new Ajv({ strict: false, logger: false, unicodeRegExp: false });
    // What a schema takes from elsewhere is of services that are not used here.
    for (const [, elsewhere] of text.matchAll(/"\$ref": "(https:[^"#]+)/g))
      if (elsewhere && !ajv.getSchema(elsewhere)) ajv.addSchema({}, elsewhere);
    const validate = ajv.compile(rules);
    assert.ok(validate(value()), JSON.stringify(validate.errors));
  });
