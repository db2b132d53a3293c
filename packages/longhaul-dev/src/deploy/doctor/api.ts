/** Whether the API answers, and whom. */
import { type Check, Skipped, until } from './check.ts';
import { createApi, type Site } from './site.ts';

export async function json(site: Site, path: string, init?: RequestInit) {
  const response = await site.api.call(path, init);
  const text = await response.text();
  if (!response.ok)
    throw new Error(
      `${init?.method ?? 'GET'} ${path} answered ${response.status}: ${text.slice(0, 300)}`,
    );
  return text === '' ? undefined : JSON.parse(text);
}

const alive: Check = {
  name: 'alive',
  question: 'Does the app answer at all?',
  todo: 'Is the URL right (it ends in /api)? Was the package published? An app whose code cannot start answers 404 or 503: a setting that is missing is named among the exceptions in Application Insights.',
  async run(site) {
    const status = await until(site, 'an answer of /health/live', async () => {
      const response = await site.api.call('/health/live').catch(() => undefined);
      return response?.status === 200 ? 200 : undefined;
    });
    return `${site.api.url}/health/live answers ${status}`;
  },
};

const ready: Check = {
  name: 'ready',
  question: 'Does the app reach its storage?',
  todo: "Its identity needs its roles on tables and containers (check 'roles'), the settings DATA_BLOB_URI and DATA_TABLE_URI, and a network that leads there (private endpoints, DNS). New roles take some minutes.",
  after: 'alive',
  async run(site) {
    let last = '';
    await until(site, 'storage', async () => {
      const response = await site.api.call('/health/ready');
      last = await response.text();
      return response.ok || undefined;
    }).catch(() => {
      throw new Error(`/health/ready says: ${last.slice(0, 300)}`);
    });
    return 'tables and containers answer';
  },
};

const guarded: Check = {
  name: 'guarded',
  question:
    'Is nobody let in without a key or a token? (Built-in authentication on Flex Consumption.)',
  todo: 'Anybody may submit jobs. Take the app off the network (az functionapp stop), then look at authLevel in the package, and at authsettingsV2 where entraClientId is set.',
  after: 'alive',
  async run(site) {
    if (!site.api.isGuarded)
      throw new Skipped('no key and no token were given, so none is asked for');
    const { status } = await createApi(site.api.url).call('/job-types');
    if (status !== 401 && status !== 403)
      throw new Error(`/job-types answered a stranger ${status}`);
    return `a stranger is answered ${status}`;
  },
};

const mayAsk: Check = {
  name: 'let in',
  question: 'Are we let in?',
  todo: 'Without Entra: is it the key `default` of this app? With entraClientId: give --entra api://CLIENT_ID; the tenant must let the caller (the Azure CLI, or your identity) have a token for it, and entraAllowedApplications must name it.',
  after: 'alive',
  async run(site) {
    const types = (await json(site, '/job-types')) as { type: string }[];
    return types.map(({ type }) => type).join(', ');
  },
};

export const apiChecks: Check[] = [alive, ready, guarded, mayAsk];
